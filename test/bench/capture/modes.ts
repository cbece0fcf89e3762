/** How nginx is watched while it is measured. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { REPO_ROOT } from '../../../services/core/repo_root.js'

export type Mode = 'uncaptured' | 'klartext' | 'conventional' | 'bpftrace'

export const MODE_TEXT: Record<Mode, string> = {
  uncaptured: 'nobody watches',
  klartext: 'as it ships: the whole host, TLS and sockets, both ends of every request',
  conventional: 'the same programs with probes at entry and return of SSL_read(_ex) and SSL_write(_ex)',
  bpftrace: 'outside check: the same four probe sites by bpftrace, which only adds up sizes',
}

export interface Watcher {
  /** 0 where nobody watches. */
  readonly pid: number
  /** Answers the bytes that were lost. */
  stop(): Promise<number>
}

const LIBSSL = ['/usr/lib/x86_64-linux-gnu/libssl.so.3', '/usr/lib/aarch64-linux-gnu/libssl.so.3'].find(existsSync)

export function canRun(mode: Mode): boolean {
  return mode !== 'bpftrace' || (LIBSSL !== undefined && existsSync('/usr/bin/bpftrace'))
}

export async function watch(mode: Mode): Promise<Watcher> {
  if (mode === 'uncaptured') return { pid: 0, stop: async () => 0 }
  return mode === 'bpftrace' ? await bpftrace() : await capturer(mode)
}

async function capturer(mode: Mode): Promise<Watcher> {
  const path = join(REPO_ROOT, 'dist/test/bench/capture/capturer.js')
  const child = spawn(process.execPath, [path, mode], { stdio: ['ignore', 'pipe', 'inherit'] })
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

async function bpftrace(): Promise<Watcher> {
  const sites = ['SSL_read', 'SSL_read_ex', 'SSL_write', 'SSL_write_ex']
  const script =
    sites.map((name) => `uprobe:${LIBSSL}:${name} { @buffer[tid] = arg1 }`).join(' ') +
    sites
      .map((name) => ` uretprobe:${LIBSSL}:${name} /(int32)retval > 0/ { @bytes = sum(retval); delete(@buffer[tid]) }`)
      .join('') +
    ' BEGIN { printf("ready\\n") }'
  const child = spawn('bpftrace', ['-q', '-e', script], { stdio: ['ignore', 'pipe', 'ignore'] })
  let said = ''
  child.stdout.on('data', (data) => {
    said += data
  })
  await until(() => said.includes('ready\n'), child)
  await sleep(200)
  return {
    pid: child.pid as number,
    stop: async () => {
      child.kill('SIGINT')
      if (child.exitCode === null) await once(child, 'close')
      return 0
    },
  }
}

async function until(done: () => boolean, child: ChildProcess): Promise<void> {
  for (let tries = 0; !done(); tries++) {
    if (tries > 400 || child.exitCode !== null) throw new Error('the capturer did not start')
    await sleep(25)
  }
}
