/**
 * What capture costs an nginx that serves 200-byte answers over TLS keep-alive: uncaptured, captured by klartext, with
 * conventional probes, and watched by a minimal conventional sniffer; interleaved, all on the two cores that generator,
 * server and capturer share. Generators: wrk at saturation, capture/steady.c at a fixed rate, capture/ping_pong.c for one
 * call. Generators use the same libssl and are captured as well: every request is seen at both ends.
 *
 * What a mode adds is told against the uncaptured run of the same round, since a host's speed drifts; of the rounds the
 * median, with the lowest and the highest beside it.
 */
import { execFile } from 'node:child_process'
import { cpus } from 'node:os'
import { promisify } from 'node:util'
import { nativeProgram } from '../native_program.js'
import { cpuUs, residentMb } from './capture/cpu.js'
import { canRun, MODE_TEXT, MODES, type Mode, watch } from './capture/modes.js'
import { Nginx } from './capture/nginx.js'
import { takePriority } from './capture/priority.js'

const ROUNDS = 9
/** Of what is only an outside check. */
const OTHER_ROUNDS = 3
const SATURATED_SECONDS = 1
const STEADY_SECONDS = 1.25
const CALL_SECONDS = 0.3
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
  const modes = MODES.filter(canRun)
  const nginx = new Nginx()
  const release = takePriority()
  const rounds = new Map<Mode, Round[]>(modes.map((mode) => [mode, []]))
  try {
    await nginx.start()
    for (let i = 0; i < ROUNDS; i++) {
      // Each mode comes first in its turn.
      for (let k = 0; k < modes.length; k++) {
        const mode = modes[(i + k) % modes.length]
        if (mode === 'sniffer' && i >= OTHER_ROUNDS) continue
        rounds.get(mode)?.push(await round(mode, nginx, steady, pingPong))
      }
    }
  } finally {
    release()
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

/** Of one number in all rounds. */
class Spread {
  readonly #sorted: number[]

  constructor(values: readonly number[]) {
    this.#sorted = [...values].sort((a, b) => a - b)
  }

  get median(): number {
    return this.#sorted[this.#sorted.length >> 1]
  }

  get lowest(): number {
    return this.#sorted[0]
  }

  get highest(): number {
    return this.#sorted[this.#sorted.length - 1]
  }

  text(digits: number): string {
    const [median, lowest, highest] = [this.median, this.lowest, this.highest].map((value) => value.toFixed(digits))
    return `${median} (${lowest} to ${highest})`
  }
}

type Value = (each: Round) => number

function report(rounds: ReadonlyMap<Mode, readonly Round[]>): void {
  const all = (mode: Mode) => rounds.get(mode) ?? []
  const of = (mode: Mode, value: Value) => new Spread(all(mode).map(value))
  const columns: [string, (mode: Mode) => string][] = [
    ['requests/s', (mode) => of(mode, (each) => each.perSecond).median.toFixed(0)],
    ['nginx µs/request', (mode) => of(mode, (each) => each.nginxUs).median.toFixed(1)],
    ['capturer µs/exchange', (mode) => of(mode, (each) => each.capturerUs).median.toFixed(2)],
    [`answered/s of ${RATE / 1000} k`, (mode) => of(mode, (each) => each.steadyPerSecond).median.toFixed(0)],
    ['nginx µs/request', (mode) => of(mode, (each) => each.steadyNginxUs).median.toFixed(1)],
    ['p50 µs', (mode) => of(mode, (each) => each.p50).median.toFixed(0)],
    ['p99 µs', (mode) => of(mode, (each) => each.p99).median.toFixed(0)],
    ['best p99', (mode) => of(mode, (each) => each.p99).lowest.toFixed(0)],
    ['µs/4 calls', (mode) => of(mode, (each) => each.roundTripUs).lowest.toFixed(1)],
    ['lost bytes', (mode) => String(of(mode, (each) => each.lostBytes).highest)],
    ['MB', (mode) => of(mode, (each) => each.residentMb).median.toFixed(0)],
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

  const against = (mode: Mode, compare: (watched: Round, alone: Round) => number) =>
    new Spread(all(mode).map((each, i) => compare(each, all('uncaptured')[i])))
  const added = (mode: Mode, value: Value) => against(mode, (watched, alone) => value(watched) - value(alone))
  const others = [...rounds.keys()].filter((mode) => mode !== 'uncaptured' && mode !== 'klartext')
  const own = added('klartext', (each) => each.nginxUs)
  const beside = others.map((mode) => {
    const cost = added(mode, (each) => each.nginxUs)
    return `${mode} ${cost.text(1)}: 1/${(cost.median / own.median).toFixed(1)}`
  })
  console.log(`\nCPU added to nginx per request at saturation: ${own.text(1)} µs; ${beside.join('; ')} (to reach: 1/6)`)
  // A server that sleeps between requests pays for what other processes do to its caches: the best rounds are compared.
  const bestSteady = (mode: Mode) => of(mode, (each) => each.steadyNginxUs).lowest
  const steadyCost = (mode: Mode) => (bestSteady(mode) - bestSteady('uncaptured')).toFixed(1)
  const steadyBeside = others.map((mode) => `${mode} ${steadyCost(mode)}`)
  console.log(`the same at ${RATE / 1000} k/s, best rounds: ${steadyCost('klartext')} µs; ${steadyBeside.join('; ')}`)
  const kept = (mode: Mode) => against(mode, (watched, alone) => (100 * watched.perSecond) / alone.perSecond).text(0)
  const keptBeside = others.map((mode) => `${mode} ${kept(mode)} %`)
  console.log(`throughput kept at saturation: ${kept('klartext')} % (to reach: 50 %); ${keptBeside.join('; ')}`)
  const best = (mode: Mode) => of(mode, (each) => each.roundTripUs).lowest
  const perCall = (mode: Mode) => ((best(mode) - best('uncaptured')) / 4).toFixed(2)
  const callBeside = others.map((mode) => `${mode} ${perCall(mode)} µs`)
  console.log(
    `added per TLS library call with its socket call, 200 B: ${perCall('klartext')} µs; ${callBeside.join('; ')}`,
  )
  console.log(
    '  (a probe on an instruction that the kernel does not emulate costs a single step, a debug exception that a virtual\n' +
      "  machine takes to its host: how dear it is depends on the host, and so does the conventional probes' price)",
  )
}
