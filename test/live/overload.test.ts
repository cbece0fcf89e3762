/** Far more than the ring holds and the reader takes: what is reported lost is what is lost, to the byte. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import { freePort, NO_CAPTURE, PYTHON, withCertificate } from './harness.js'
import type { Recorded } from './recorder.js'

const SCRIPT = join(REPO_ROOT, 'test/live/tls_shapes.py')
const RECORDER = join(REPO_ROOT, 'dist/test/live/recorder.js')
const BLOCKS = 800
/** What one thread of the flood sends and receives, both ways. */
const PASSED = 2 * 2 * BLOCKS * 65_536

function textOf(child: ChildProcess): () => string {
  let text = ''
  child.stdout?.on('data', (data) => {
    text += data
  })
  return () => text
}

/** A process that talks to itself over TLS while another one captures only it; `hold` does something to that one. */
async function overload(ringBytes: number, hold: (recorder: ChildProcess, flood: ChildProcess) => Promise<void>) {
  return await withCertificate(async (folder) => {
    const words = [SCRIPT, folder, String(await freePort()), 'flood', String(BLOCKS)]
    const flood = spawn(PYTHON, words, { stdio: ['pipe', 'pipe', 'inherit'] })
    const sent = textOf(flood)
    const options = { ringBytes, plain: false, pids: [flood.pid] }
    const recorder = spawn(process.execPath, [RECORDER, JSON.stringify(options)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    try {
      const said = textOf(recorder)
      await once(recorder.stdout as NodeJS.EventEmitter, 'data')
      const ended = once(flood, 'close')
      flood.stdin?.end('go\n')
      await hold(recorder, flood)
      await ended
      recorder.kill('SIGTERM')
      await once(recorder, 'close')
      const { to_server, to_client } = JSON.parse(sent()) as Record<string, [string, number]>
      assert.equal(2 * (to_server[1] + to_client[1]), PASSED)
      return JSON.parse(said().trim().split('\n').pop() as string) as Recorded
    } finally {
      flood.kill('SIGKILL')
      recorder.kill('SIGKILL')
    }
  })
}

function check({ delivered, lost, streams }: Recorded): number {
  const lostBytes = Object.values(lost).reduce((sum, { bytes }) => sum + bytes, 0)
  assert.equal(delivered + lostBytes, PASSED, 'bytes delivered and bytes reported lost are the bytes that passed')
  for (const { delivered: some, missing, closedAt } of streams) {
    // A loss is a jump of positions. At the very end the close tells of it, where that was not lost itself.
    if (closedAt !== null) assert.equal(some + missing, closedAt)
    assert.ok(some + missing <= PASSED / 4)
  }
  return lostBytes
}

test('a reader that stands still: all beyond the ring is reported lost', { skip: NO_CAPTURE }, async (t) => {
  const recorded = await overload(1 << 20, async (recorder, flood) => {
    recorder.kill('SIGSTOP')
    if (flood.exitCode === null) await once(flood, 'close')
    recorder.kill('SIGCONT')
  })
  const lost = check(recorded)
  assert.ok(recorded.delivered <= 1 << 20)
  assert.deepEqual(Object.keys(recorded.lost), ['ring_full'])
  t.diagnostic(`ring of 1 MiB, ${PASSED} bytes: ${recorded.delivered} delivered, ${lost} reported lost`)
})

test('ten times as much as the reader takes', { skip: NO_CAPTURE }, async (t) => {
  const recorded = await overload(1 << 19, async (recorder, flood) => {
    for (let running = true; running; ) {
      recorder.kill('SIGSTOP')
      await sleep(40)
      running = flood.exitCode === null
      recorder.kill('SIGCONT')
      await sleep(2)
    }
  })
  const lost = check(recorded)
  assert.ok(recorded.delivered > 0)
  assert.ok(PASSED >= 10 * recorded.delivered, `${recorded.delivered} of ${PASSED} delivered`)
  t.diagnostic(`${PASSED} bytes passed, ${recorded.delivered} delivered, ${lost} reported lost`)
})
