/**
 * What capture costs an nginx that serves 200-byte answers over TLS keep-alive: uncaptured, captured by klartext, with
 * conventional probes, and watched by bpftrace as an outside check; interleaved, all on the two cores that generator,
 * server and capturer share. Generators: wrk at saturation, capture/steady.c at a fixed rate, capture/ping_pong.c for one
 * call. Generators use the same libssl and are captured as well: every request is seen at both ends.
 */
import { execFile } from 'node:child_process'
import { cpus } from 'node:os'
import { promisify } from 'node:util'
import { nativeProgram } from '../native_program.js'
import { cpuUs, residentMb } from './capture/cpu.js'
import { canRun, MODE_TEXT, type Mode, watch } from './capture/modes.js'
import { Nginx } from './capture/nginx.js'

const ROUNDS = 5
/** Of what is only compared with. */
const OTHER_ROUNDS = 3
const SATURATED_SECONDS = 2
const STEADY_SECONDS = 2.5
const CALL_SECONDS = 0.8
const RATE = 10_000
const CONNECTIONS = 16

const run = promisify(execFile)

interface Round {
  /** At saturation. */
  readonly perSecond: number
  readonly nginxUs: number
  /** Capturer's CPU per exchange: a request is one at each end. */
  readonly capturerUs: number
  /** At the fixed rate. */
  readonly steadyNginxUs: number
  readonly steadyPerSecond: number
  readonly p50: number
  readonly p99: number
  /** µs per round trip of four library calls, best window. */
  readonly roundTripUs: number
  readonly lostBytes: number
  readonly residentMb: number
}

export async function main(): Promise<number> {
  const steady = nativeProgram('test/bench/capture/steady.c')
  const pingPong = nativeProgram('test/bench/capture/ping_pong.c')
  const nginx = new Nginx()
  await nginx.start()
  const rounds = new Map<Mode, Round[]>()
  try {
    for (let i = 0; i < ROUNDS; i++) {
      for (const mode of ['uncaptured', 'klartext', 'conventional', 'bpftrace'] as const) {
        // The outside check is slow to start and needs no median.
        const wanted = mode === 'bpftrace' ? 1 : mode === 'conventional' ? OTHER_ROUNDS : ROUNDS
        if (!canRun(mode) || i >= wanted) continue
        const list = rounds.get(mode) ?? []
        list.push(await round(mode, nginx, steady, pingPong))
        rounds.set(mode, list)
      }
    }
  } finally {
    nginx.stop()
  }
  report(rounds)
  return 0
}

async function round(mode: Mode, nginx: Nginx, steady: string, pingPong: string): Promise<Round> {
  const watcher = await watch(mode)
  const url = `https://127.0.0.1:${nginx.port}/`
  const capturer = () => (watcher.pid === 0 ? 0 : cpuUs(watcher.pid))
  const [begun, capturerBegun] = [cpuUs(nginx.pid), capturer()]
  const wrk = await run('wrk', ['-t1', `-c${CONNECTIONS}`, `-d${SATURATED_SECONDS}s`, url])
  const [saturated, capturerSaturated] = [cpuUs(nginx.pid), capturer()]
  const fixed = await run(steady, [String(nginx.port), String(RATE), String(STEADY_SECONDS), String(CONNECTIONS)])
  const done = cpuUs(nginx.pid)
  const memory = watcher.pid === 0 ? 0 : residentMb(watcher.pid)
  const call = await run(pingPong, [`${nginx.folder}/cert.pem`, `${nginx.folder}/key.pem`, String(CALL_SECONDS)])
  const lostBytes = await watcher.stop()
  const requests = Number(/(\d+) requests in/.exec(wrk.stdout)?.[1])
  const answers = JSON.parse(fixed.stdout) as { due: number; answered: number; p50: number; p99: number }
  // The client's warm-up, a fifth of its time, is in nginx's CPU time and not in its count.
  const steadySeconds = 0.8 * STEADY_SECONDS
  return {
    perSecond: requests / SATURATED_SECONDS,
    nginxUs: (saturated - begun) / requests,
    capturerUs: (capturerSaturated - capturerBegun) / (2 * requests),
    steadyNginxUs: ((done - saturated) * 0.8) / answers.answered,
    steadyPerSecond: answers.answered / steadySeconds,
    p50: answers.p50,
    p99: answers.p99,
    roundTripUs: Number(call.stdout.split(' ')[0]),
    lostBytes,
    residentMb: memory,
  }
}

function report(rounds: ReadonlyMap<Mode, readonly Round[]>): void {
  const of = (mode: Mode, value: (each: Round) => number) => {
    const values = (rounds.get(mode) ?? []).map(value).sort((a, b) => a - b)
    return values[values.length >> 1]
  }
  const best = (mode: Mode, value: (each: Round) => number) => Math.min(...(rounds.get(mode) ?? []).map(value))
  const columns: [string, (mode: Mode) => string][] = [
    ['requests/s', (mode) => of(mode, (each) => each.perSecond).toFixed(0)],
    ['nginx µs/request', (mode) => of(mode, (each) => each.nginxUs).toFixed(1)],
    ['capturer µs/exchange', (mode) => of(mode, (each) => each.capturerUs).toFixed(2)],
    [`answered/s of ${RATE / 1000} k`, (mode) => of(mode, (each) => each.steadyPerSecond).toFixed(0)],
    ['nginx µs/request', (mode) => of(mode, (each) => each.steadyNginxUs).toFixed(1)],
    ['p50 µs', (mode) => of(mode, (each) => each.p50).toFixed(0)],
    ['p99 µs', (mode) => of(mode, (each) => each.p99).toFixed(0)],
    ['best p99', (mode) => best(mode, (each) => each.p99).toFixed(0)],
    ['µs/4 calls', (mode) => best(mode, (each) => each.roundTripUs).toFixed(1)],
    ['lost bytes', (mode) => String(Math.max(...(rounds.get(mode) ?? []).map((each) => each.lostBytes)))],
    ['MB', (mode) => of(mode, (each) => each.residentMb).toFixed(0)],
  ]
  console.log(
    `nginx TLS keep-alive, answers of 200 B, ${CONNECTIONS} connections; ${cpus().length} cores for generator, server and capturer;` +
      ` median of ${ROUNDS} rounds, calls: best`,
  )
  for (const mode of rounds.keys()) console.log(`  ${mode.padEnd(12)} ${MODE_TEXT[mode]}`)
  console.log(`\n${' '.repeat(12)}  at saturation (wrk)${' '.repeat(37)}at a fixed rate (steady)`)
  console.log(`${' '.repeat(12)}${columns.map(([name]) => name.padStart(name.length + 2)).join('')}`)
  for (const mode of rounds.keys()) {
    const cells = columns.map(([name, cell]) => cell(mode).padStart(name.length + 2))
    console.log(`${mode.padEnd(12)}${cells.join('')}`)
  }
  const added = (mode: Mode, value: (each: Round) => number) => of(mode, value) - of('uncaptured', value)
  const cost = (mode: Mode) => added(mode, (each) => each.nginxUs)
  const steadyCost = (mode: Mode) => added(mode, (each) => each.steadyNginxUs)
  const perCall = (best('klartext', (each) => each.roundTripUs) - best('uncaptured', (each) => each.roundTripUs)) / 4
  console.log(
    `\nCPU added to nginx per request at saturation: ${cost('klartext').toFixed(1)} µs, conventional ${cost('conventional').toFixed(1)} µs:` +
      ` 1/${(cost('conventional') / cost('klartext')).toFixed(1)} (to reach: 1/6)`,
  )
  console.log(
    `the same at ${RATE / 1000} k/s: ${steadyCost('klartext').toFixed(1)} µs, conventional ${steadyCost('conventional').toFixed(1)} µs:` +
      ` 1/${(steadyCost('conventional') / steadyCost('klartext')).toFixed(1)}`,
  )
  const kept = (mode: Mode) => (100 * of(mode, (each) => each.perSecond)) / of('uncaptured', (each) => each.perSecond)
  console.log(
    `throughput kept at saturation: ${kept('klartext').toFixed(0)} %, conventional ${kept('conventional').toFixed(0)} % (to reach: 50 %)`,
  )
  console.log(`added per TLS library call with its socket call, 200 B: ${perCall.toFixed(2)} µs`)
}
