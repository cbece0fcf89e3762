/** How nginx is watched while it is measured. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { REPO_ROOT } from '../../../services/core/repo_root.js'
import { nativeProgram } from '../../native_program.js'

export const MODES = ['uncaptured', 'klartext', 'conventional', 'sniffer'] as const
export type Mode = (typeof MODES)[number]

export const MODE_TEXT: Record<Mode, string> = {
  uncaptured: 'nobody watches',
  klartext: 'as it ships: the whole host, TLS and sockets, both ends of every request',
  conventional:
    'the same programs, placed as bcc, eCapture and Pixie place theirs: a uprobe on the first instruction and a\n' +
    '               uretprobe of SSL_read(_ex) and SSL_write(_ex)',
  sniffer:
    'outside check, the least that can be done there (sniffer.bpf.c on SSL_read and SSL_write): remember the buffer\n' +
    '               at entry, copy up to 1 KiB into a ring at return; no system calls, no sockets, a reader that throws it away',
}

export interface Watcher {
  /** 0 where nobody watches. */
  readonly pid: number
  /** Answers the bytes that were lost. */
  stop(): Promise<number>
}

const MULTIARCH = `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`
const LIBSSL = `/usr/lib/${MULTIARCH}/libssl.so.3`

/** Compiles what is run, so that nothing is compiled while it is measured. */
export function canRun(mode: Mode): boolean {
  if (mode !== 'sniffer') return true
  if (!existsSync(LIBSSL)) return false
  sniffer()
  return true
}

export async function watch(mode: Mode): Promise<Watcher> {
  if (mode === 'uncaptured') return { pid: 0, stop: async () => 0 }
  const capturer = join(REPO_ROOT, 'dist/test/bench/capture/capturer.js')
  const [command, ...words] = mode === 'sniffer' ? sniffer() : [process.execPath, capturer, mode]
  const child = spawn(command, words, { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  child.stdout.on('data', (data) => {
    said += data
  })
  await until(() => said.includes('ready\n'), child)
  return {
    pid: child.pid as number,
    stop: async () => {
      child.kill('SIGTERM')
      if (child.exitCode === null) await once(child, 'close')
      return (JSON.parse(said.trim().split('\n').pop() as string) as { lostBytes: number }).lostBytes
    },
  }
}

function sniffer(): [string, ...string[]] {
  const program = nativeProgram('test/bench/capture/sniffer.c', ['-lbpf'])
  const object = join(REPO_ROOT, 'dist/test/bench/capture/sniffer.bpf.o')
  if (!existsSync(object)) {
    mkdirSync(dirname(object), { recursive: true })
    const source = join(REPO_ROOT, 'test/bench/capture/sniffer.bpf.c')
    const target = process.arch === 'arm64' ? 'arm64' : 'x86'
    const flags = ['-O2', '-g', '-target', 'bpf', '-mcpu=v3', `-D__TARGET_ARCH_${target}`, '-Wall']
    execFileSync('clang', [...flags, '-isystem', `/usr/include/${MULTIARCH}`, '-c', source, '-o', object])
  }
  return [program, object, realpathSync(LIBSSL)]
}

async function until(done: () => boolean, child: ChildProcess): Promise<void> {
  for (let tries = 0; !done(); tries++) {
    if (tries > 400 || child.exitCode !== null) throw new Error('the capturer did not start')
    await sleep(25)
  }
}
