/**
 * What capture costs an nginx that serves 200-byte answers over TLS keep-alive to wrk: uncaptured, captured by klartext, and
 * with conventional probes (entry and return of SSL_read and SSL_write at their first instruction), interleaved.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { REPO_ROOT } from '../../services/core/repo_root.js'

const ROUNDS = 3
const SECONDS = 4
const PORT = 21_443
const TICKS_PER_SECOND = 100

type Mode = 'uncaptured' | 'klartext' | 'conventional'

interface Round {
  readonly requests: number
  readonly perSecond: number
  readonly nginxUs: number
  readonly capturerUs: number
  readonly lostBytes: number
  readonly p50: string
  readonly p99: string
}

export async function main(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'klartext-bench-'))
  const certificate = ['-keyout', `${folder}/key.pem`, '-out', `${folder}/cert.pem`, '-subj', '/CN=localhost']
  spawnSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', ...certificate])
  mkdirSync(join(folder, 'tmp'))
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/tmp/${name};`,
  )
  writeFileSync(
    join(folder, 'nginx.conf'),
    `worker_processes 1; daemon off; user root; pid ${folder}/nginx.pid; error_log ${folder}/error.log;
     events {} http { access_log off; keepalive_requests 100000000; ${paths.join(' ')} server { listen 127.0.0.1:${PORT} ssl;
     ssl_certificate ${folder}/cert.pem; ssl_certificate_key ${folder}/key.pem; location / { return 200 "${'x'.repeat(200)}"; } } }`,
  )
  const nginx = spawn('nginx', ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')])
  try {
    await sleep(400)
    const rounds: Record<Mode, Round[]> = { uncaptured: [], klartext: [], conventional: [] }
    for (let i = 0; i < ROUNDS; i++) {
      for (const mode of ['uncaptured', 'klartext', 'conventional'] as const)
        rounds[mode].push(await round(mode, nginx))
    }
    report(rounds)
    return 0
  } finally {
    nginx.kill('SIGTERM')
    rmSync(folder, { recursive: true, force: true })
  }
}

async function round(mode: Mode, nginx: ChildProcess): Promise<Round> {
  let capturer: ChildProcess | null = null
  if (mode !== 'uncaptured') {
    capturer = spawn(process.execPath, [join(REPO_ROOT, 'dist/test/bench/capturer.js'), mode], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(capturer.stdout as NodeJS.ReadableStream, 'data')
  }
  const before = workerUs(nginx.pid as number)
  const wrk = spawn('wrk', ['-t1', '-c16', `-d${SECONDS}s`, '--latency', `https://127.0.0.1:${PORT}/`])
  let text = ''
  wrk.stdout.on('data', (data) => (text += data))
  await once(wrk, 'close')
  const nginxUs = workerUs(nginx.pid as number) - before
  let capturerUs = 0
  let lostBytes = 0
  if (capturer !== null) {
    let said = ''
    capturer.stdout?.on('data', (data) => (said += data))
    capturer.kill('SIGTERM')
    await once(capturer, 'close')
    const stats = JSON.parse(said.trim().split('\n').pop() as string)
    capturerUs = stats.cpuUs
    lostBytes = stats.lostBytes
  }
  const requests = Number(/(\d+) requests in/.exec(text)?.[1])
  return {
    requests,
    perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]),
    nginxUs,
    capturerUs,
    lostBytes,
    p50: /^\s+50%\s+(\S+)/m.exec(text)?.[1] ?? '',
    p99: /^\s+99%\s+(\S+)/m.exec(text)?.[1] ?? '',
  }
}

/** User and system time of nginx's workers so far. */
function workerUs(master: number): number {
  let ticks = 0
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
      if (Number(fields[1]) === master) ticks += Number(fields[11]) + Number(fields[12])
    } catch {
      // The process has ended between listing and reading.
    }
  }
  return (ticks * 1e6) / TICKS_PER_SECOND
}

function report(rounds: Record<Mode, Round[]>): void {
  const median = (values: number[]) => [...values].sort((a, b) => a - b)[values.length >> 1]
  const of = (mode: Mode, value: (each: Round) => number) => median(rounds[mode].map(value))
  const cpu = (mode: Mode) => of(mode, (each) => each.nginxUs / each.requests)
  const rate = (mode: Mode) => of(mode, (each) => each.perSecond)
  console.log(
    `nginx TLS keep-alive, 200 B answers, wrk -c16; two cores for generator, server and capturer; median of ${ROUNDS} rounds of ${SECONDS} s\n`,
  )
  console.log('                requests/s   nginx µs/request   capturer µs/request   p50        p99        lost bytes')
  for (const mode of ['uncaptured', 'klartext', 'conventional'] as const) {
    const last = rounds[mode][ROUNDS - 1]
    const columns = [
      String(Math.round(rate(mode))).padStart(10),
      cpu(mode).toFixed(2).padStart(18),
      of(mode, (each) => each.capturerUs / each.requests)
        .toFixed(2)
        .padStart(21),
    ]
    console.log(
      `${mode.padEnd(13)} ${columns.join(' ')}   ${last.p50.padEnd(8)}   ${last.p99.padEnd(8)}   ${last.lostBytes}`,
    )
  }
  const added = cpu('klartext') - cpu('uncaptured')
  const addedConventional = cpu('conventional') - cpu('uncaptured')
  console.log(
    `\nCPU added to nginx per request: ${added.toFixed(2)} µs; conventional ${addedConventional.toFixed(2)} µs; ratio 1/${(addedConventional / added).toFixed(1)}`,
  )
  const kept = (mode: Mode) => `${Math.round((100 * rate(mode)) / rate('uncaptured'))} %`
  console.log(`throughput kept at saturation: ${kept('klartext')}; conventional ${kept('conventional')}`)
}
