/** Runs something while the host is captured, and gives what was captured of it. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { CaptureStats } from '../../native/index.js'
import { NativeSource, type NativeSourceOptions } from '../../services/capture/native_source.js'
import { whyNoCapture } from '../../services/capture/requirements.js'
import { type Flow, plainFlow } from '../../services/core/flow.js'
import type { Segment } from '../../services/core/segment.js'
import { DecodePipeline } from '../../services/decode/pipeline.js'
import { defaultPolicy, FlowPolicy } from '../../services/decode/policy.js'
import { PROTOCOLS } from '../../services/decode/protocols/registry.js'

export { freePort } from '../../services/cli/demo/free_port.js'

export const run = promisify(execFile)

/** The one whose modules come with Debian packages, where another stands before it in PATH. */
export const PYTHON: string = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3'

/** The reason to skip, or false. */
export const NO_CAPTURE: string | false = whyNoCapture() ?? false

export interface Captured {
  readonly segments: Segment[]
  readonly stats: CaptureStats
}

export async function capture(options: NativeSourceOptions, action: () => Promise<void>): Promise<Captured> {
  const source = new NativeSource(options)
  source.start()
  const segments: Segment[] = []
  const reading = (async () => {
    for await (const batch of source.batches()) segments.push(...batch)
  })()
  try {
    await sleep(200)
    await action()
    await sleep(300)
  } finally {
    await source.stop()
    await reading
  }
  const stats = source.stats()
  if (stats === null) throw new Error('the capture did not start')
  return { segments, stats }
}

export function decode(segments: readonly Segment[]): Flow[] {
  const flows: Flow[] = []
  const pipeline = new DecodePipeline({
    protocols: PROTOCOLS,
    policy: new FlowPolicy(defaultPolicy('full')),
    onFlow: (flow) => flows.push(plainFlow(flow)),
    onConnection: () => {},
  })
  pipeline.push(segments)
  pipeline.finish()
  return flows
}

export async function withCertificate<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'klartext-live-'))
  try {
    const files = ['-keyout', `${folder}/key.pem`, '-out', `${folder}/cert.pem`]
    await run('openssl', [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '1',
      '-subj',
      '/CN=localhost',
      ...files,
    ])
    return await use(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const LOADER = `
import ctypes, sys
for path in sys.argv[1:]: ctypes.CDLL(path)
print(1, flush=True)
sys.stdin.readline()
`

/** While some process has them loaded: a capture that begins meanwhile has them hooked from its beginning. */
export async function withLibraries<T>(paths: readonly string[], use: () => Promise<T>): Promise<T> {
  const loader = spawn(PYTHON, ['-c', LOADER, ...paths], { stdio: ['pipe', 'pipe', 'inherit'] })
  try {
    await once(loader.stdout, 'data')
    return await use()
  } finally {
    loader.stdin.end()
  }
}

/** Runs a program while only it is captured, so that counters are its own whatever else the host does. */
export async function captureOf(
  options: NativeSourceOptions,
  program: string,
  words: readonly string[],
): Promise<Captured & { readonly said: string }> {
  // It has its number before it begins.
  const child = spawn('sh', ['-c', 'read go && exec "$0" "$@"', program, ...words], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let said = ''
  child.stdout.on('data', (data) => {
    said += data
  })
  const captured = await capture({ ...options, pids: [child.pid as number] }, async () => {
    child.stdin.end('go\n')
    const [code] = await once(child, 'close')
    if (code !== 0) throw new Error(`${program} ended with ${code}`)
  })
  return { ...captured, said }
}
