/** Libraries come and go: loaded late, deleted, replaced; each is hooked while it is used and let go afterwards. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { copyFileSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Library } from '../../native/index.js'
import { NativeSource } from '../../services/capture/native_source.js'
import { NO_CAPTURE, PYTHON, run } from './harness.js'

const LIBSSL = '/usr/lib/x86_64-linux-gnu/libssl.so.3'
/** Loads the library when a line comes, and ends with its stdin. */
const LOADER = `
import ctypes, sys
print('ready', flush=True)
sys.stdin.readline()
ctypes.CDLL(sys.argv[1])
print('loaded', flush=True)
sys.stdin.readline()
`

async function withSource(use: (source: NativeSource) => Promise<void>): Promise<void> {
  const source = new NativeSource({ plain: false, retireMs: 500 })
  source.start()
  const reading = (async () => {
    for await (const _ of source.rawBatches());
  })()
  try {
    await use(source)
  } finally {
    await source.stop()
    await reading
  }
}

async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'klartext-libraries-'))
  try {
    await use(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function loader(path: string): ChildProcess {
  return spawn(PYTHON, ['-c', LOADER, path], { stdio: ['pipe', 'pipe', 'inherit'] })
}

function saidBy(child: ChildProcess, word: string): Promise<void> {
  let text = ''
  return new Promise((resolve) => {
    child.stdout?.on('data', (data) => {
      text += data
      if (text.includes(word)) resolve()
    })
  })
}

/** Milliseconds until it is so. */
async function until(what: string, so: () => boolean, withinMs: number): Promise<number> {
  const begun = performance.now()
  while (!so()) {
    assert.ok(performance.now() - begun < withinMs, `${what}: not within ${withinMs} ms`)
    await sleep(5)
  }
  return performance.now() - begun
}

const found = (source: NativeSource, path: string): Library | undefined =>
  source.libraries().find((library) => library.path.startsWith(path))

/** Descriptors of probes that this process holds. */
function probes(): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return /perf_event|bpf.link/.test(readlinkSync(`/proc/self/fd/${fd}`))
    } catch {
      return false
    }
  }).length
}

test('a library that is loaded late is hooked soon', { skip: NO_CAPTURE }, async (t) => {
  await withFolder(async (folder) => {
    const path = join(folder, 'libssl.so.3')
    copyFileSync(LIBSSL, path)
    await withSource(async (source) => {
      const child = loader(path)
      try {
        await sleep(700)
        assert.equal(found(source, path), undefined)
        child.stdin?.write('load\n')
        const took = await until('hooked', () => found(source, path)?.hooked === true, 1000)
        t.diagnostic(`hooked ${took.toFixed(0)} ms after it was asked to load`)
      } finally {
        child.kill('SIGKILL')
      }
    })
  })
})

test('deleted and used by nobody: its probes go; another file in its place is hooked anew', {
  skip: NO_CAPTURE,
}, async () => {
  await withFolder(async (folder) => {
    const path = join(folder, 'libssl.so.3')
    await withSource(async (source) => {
      await sleep(300)
      const before = probes()
      for (let life = 0; life < 3; life++) {
        copyFileSync(LIBSSL, path)
        const child = loader(path)
        child.stdin?.write('load\n')
        await saidBy(child, 'loaded')
        await until('hooked', () => found(source, path)?.hooked === true, 3000)
        assert.ok(probes() > before, 'probes of the new file')
        // Mapped still: nothing is taken away.
        rmSync(path)
        await sleep(1200)
        assert.ok(found(source, path)?.hooked, 'hooked as long as it is mapped')
        child.kill('SIGKILL')
        await until('let go', () => found(source, path) === undefined && probes() === before, 5000)
      }
    })
  })
})

test('a process is looked at two or three times after exec', { skip: NO_CAPTURE }, async (t) => {
  await withSource(async (source) => {
    await sleep(300)
    const looks: number[] = []
    for (let i = 0; i < 12; i++) {
      const before = source.stats()?.processLooks ?? 0
      await run(PYTHON, ['-c', 'import ssl, time; time.sleep(0.1)'])
      looks.push((source.stats()?.processLooks ?? 0) - before)
    }
    t.diagnostic(`looks per exec of a program with 20 libraries: ${looks.join(' ')}`)
    // Others on this host start programs meanwhile, so that the smallest counts.
    assert.ok(Math.min(...looks) >= 1 && Math.min(...looks) <= 3)
  })
})
