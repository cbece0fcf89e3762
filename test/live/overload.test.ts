/** A ring far too small for the load: what is reported lost is what is lost, to the byte. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import { capture, freePort, NO_CAPTURE, PYTHON, withCertificate } from './harness.js'

const SCRIPT = join(REPO_ROOT, 'test/live/tls_shapes.py')
const BLOCKS = 800

test('ring far too small: the bytes reported lost are the bytes lost', { skip: NO_CAPTURE }, async (t) => {
  await withCertificate(async (folder) => {
    const port = await freePort()
    const child = spawn(PYTHON, [SCRIPT, folder, String(port), 'flood', String(BLOCKS)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    let said = ''
    child.stdout.on('data', (data) => {
      said += data
    })
    // Only this process is captured, so that the counters are its own whatever else the host does.
    const options = { ringBytes: 1 << 19, plain: false, pids: [child.pid as number] }
    const { segments, stats } = await capture(options, async () => {
      child.stdin.end('go\n')
      await once(child, 'close')
    })
    const sent = JSON.parse(said) as Record<'to_server' | 'to_client', [string, number]>
    // Both ends are this process.
    const passed = 2 * (sent.to_server[1] + sent.to_client[1])
    const tls = segments.filter(({ connection }) => connection.source === 'openssl')
    const delivered = tls.reduce((sum, segment) => sum + segment.payload.length, 0)
    const reasons = ['ring_full', 'fault', 'too_long', 'queue_full']
    const lost = reasons.reduce((sum, reason) => sum + stats.lost[reason].bytes, 0)
    t.diagnostic(`${passed} bytes passed, ${delivered} delivered, ${lost} reported lost`)
    assert.ok(lost > 0, 'the ring was not overloaded')
    assert.equal(delivered + lost, passed)
  })
})
