/** Every byte of a TLS stream that was captured equals the bytes sent, at both ends. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { test } from 'node:test'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import { type Segment, SegmentFlag } from '../../services/core/segment.js'
import { capture, freePort, NO_CAPTURE, PYTHON, run, withCertificate } from './harness.js'

const SCRIPT = join(REPO_ROOT, 'test/live/tls_shapes.py')
const NAMES = ['to_server', 'to_client'] as const

type Sent = Record<(typeof NAMES)[number], [string, number]>

async function shape(name: string, options = {}, ...more: string[]) {
  return await withCertificate(async (folder) => {
    const port = await freePort()
    let sent: Sent | null = null
    const { segments, stats } = await capture(options, async () => {
      const { stdout } = await run(PYTHON, [SCRIPT, folder, String(port), name, ...more])
      sent = JSON.parse(stdout) as Sent
    })
    assert.ok(sent)
    const tls = segments.filter(({ connection }) => connection.source === 'openssl' && connection.serverPort === port)
    return { sent: sent as Sent, tls, stats }
  })
}

for (const name of ['blocking', 'partial', 'bytes']) {
  test(`calls of 1 B to 1 MiB, ${name}: SHA-256 equal at both ends and both ways`, { skip: NO_CAPTURE }, async () => {
    const { sent, tls } = await shape(name)
    for (const side of ['client', 'server']) {
      for (const direction of [0, 1]) {
        const mine = tls.filter(
          (each) => each.connection.side === side && each.direction === direction && each.length > 0,
        )
        assert.equal(payloadHash(mine), sent[NAMES[direction]][0], `${side} ${NAMES[direction]}`)
        assertContiguous(mine, sent[NAMES[direction]][1])
      }
    }
  })
}

function payloadHash(segments: readonly Segment[]): string {
  const hash = createHash('sha256')
  for (const segment of segments) hash.update(segment.payload)
  return hash.digest('hex')
}

function assertContiguous(segments: readonly Segment[], total: number): void {
  let position = 0
  for (const segment of segments) {
    assert.equal(segment.position, position)
    assert.equal(segment.flags & (SegmentFlag.GAP_BEFORE | SegmentFlag.TRUNCATED), 0)
    position += segment.length
  }
  assert.equal(position, total)
}

test('ring far too small: the bytes reported lost are the bytes lost', { skip: NO_CAPTURE }, async (t) => {
  const blocks = 800
  const { sent, tls, stats } = await shape('flood', { ringBytes: 1 << 19, plain: false }, String(blocks))
  const passed = 2 * (sent.to_server[1] + sent.to_client[1])
  const delivered = tls.reduce((sum, segment) => sum + segment.payload.length, 0)
  const lost = ['ring_full', 'fault', 'too_long', 'queue_full'].reduce(
    (sum, reason) => sum + stats.lost[reason].bytes,
    0,
  )
  t.diagnostic(`${passed} bytes passed, ${delivered} delivered, ${lost} reported lost`)
  assert.ok(lost > 0, 'the ring was not overloaded')
  assert.equal(delivered + lost, passed)
})
