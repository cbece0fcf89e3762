/** A connection handed from pipeline to pipeline after every segment gives the flows of one that stayed where it was. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { pipelineInto, type Rows, run } from '../../test/fakes/hand_over.js'
import type { Flow } from '../core/flow.js'
import { REPO_ROOT } from '../core/repo_root.js'
import { ConnectionInfo, Segment, SegmentFlag } from '../core/segment.js'
import { type Golden, readGoldens, segmentsOf } from './golden/golden.js'
import { cutNearEnds } from './golden/segments.js'
import { PROTOCOLS } from './protocols/registry.js'

/** Of a connection whose id takes all its bits. */
function segmentsWithLargeId(golden: Golden): Segment[] {
  const large = new ConnectionInfo(0xffff_0000_1234_5678n)
  return segmentsOf(golden).map(({ connection, direction, position, length, payload, timeUs, flags }) => {
    const { transport, clientIp, clientPort, serverIp, serverPort } = connection
    Object.assign(large, { transport, clientIp, clientPort, serverIp, serverPort, comm: 'c' })
    return new Segment(large, direction, position, length, payload, timeUs, 0, flags)
  })
}

for (const protocol of PROTOCOLS) {
  const folder = join(REPO_ROOT, 'services/decode/protocols', protocol.name, 'golden')
  if (!existsSync(folder)) continue
  for (const golden of readGoldens(folder)) {
    test(`${protocol.name} ${golden.name}: handed over after every segment`, () => {
      for (const pieceBytes of [1, 13, 1 << 20]) {
        const segments = cutNearEnds(segmentsWithLargeId(golden), pieceBytes)
        const stayed = run(segments, () => false)
        assert.deepEqual(
          run(segments, () => true),
          stayed,
          `${pieceBytes} bytes`,
        )
      }
    })
  }
}

const INFO = new ConnectionInfo(5n)
Object.assign(INFO, { clientIp: '10.0.0.1', clientPort: 1, serverIp: '10.0.0.2', serverPort: 80 })
const START_US = 1_790_000_000_000_000
const segment = (direction: 0 | 1, position: number, text: string, at: number, flags = 0) =>
  new Segment(INFO, direction, position, text.length, Buffer.from(text), START_US + at, 0, flags)
const GET = 'GET /a HTTP/1.1\r\nHost: h\r\n\r\n'
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'

test('what is held back, and a gap, survive the hand-over', () => {
  const segments = [
    segment(0, 0, GET, 1),
    segment(0, 2 * GET.length, GET, 2),
    segment(0, GET.length, GET, 3),
    segment(1, 0, OK.slice(0, 10), 4),
    segment(1, 10, OK.slice(10) + OK, 5),
    segment(1, 3 * OK.length, OK, 6, SegmentFlag.GAP_BEFORE),
    segment(0, 3 * GET.length, GET, 7),
    segment(1, 4 * OK.length, OK, 8),
  ]
  const stayed = run(segments, () => false)
  assert.equal(stayed.flows.length, 5 - 1)
  assert.deepEqual(
    run(segments, () => true),
    stayed,
  )
})

test('exchanges that wait for addresses survive, and so does the number of those of a closed connection', () => {
  const bare = new ConnectionInfo(5n)
  const unbound = (each: Segment) =>
    new Segment(bare, each.direction, each.position, each.length, each.payload, each.timeUs, 0, each.flags)
  const segments = [
    unbound(segment(0, 0, GET, 1)),
    unbound(segment(1, 0, OK, 2)),
    segment(0, GET.length, '', 3, SegmentFlag.BIND),
    segment(0, GET.length, '', 4, SegmentFlag.CLOSE),
    segment(1, OK.length, '', 5, SegmentFlag.CLOSE),
    segment(0, GET.length, GET, 6),
    segment(1, OK.length, OK, 7),
  ]
  const stayed = run(segments, () => false)
  assert.deepEqual(
    stayed.flows.map((flow) => [flow.exchange_seq, flow.client_ip, flow.seg_partition, flow.seg_first, flow.seg_last]),
    [
      [0, '10.0.0.1', 3, 0, 1],
      [1, '10.0.0.1', 3, 5, 6],
    ],
  )
  assert.deepEqual(
    run(segments, () => true),
    stayed,
  )
})

test('a connection whose state cannot be read goes on as one that is joined mid-way', () => {
  const rows: Rows = { flows: [], connections: [] }
  const first = pipelineInto(rows)
  first.keepChanges()
  first.push([segment(0, 0, GET, 1), segment(1, 0, OK, 2), segment(0, GET.length, GET, 3)], 1)
  const entries = first.takeCheckpoint()
  for (const damage of ['version', 'short', 'no such protocol']) {
    const flows: Flow[] = []
    const second = pipelineInto({ flows, connections: [] }, damage === 'no such protocol' ? [] : PROTOCOLS)
    second.restore(
      first.saveClock(),
      entries.map(({ key, value }) => {
        const bytes = Buffer.from(value as Buffer)
        if (damage === 'version') bytes[0] = 99
        return [key, damage === 'short' ? bytes.subarray(0, bytes.length - 5) : bytes] as const
      }),
    )
    assert.equal(second.accounting.statesUnreadable, 1)
    assert.equal(second.checkInvariants(), null)
    second.push([segment(1, OK.length, OK, 4), segment(0, 2 * GET.length, GET, 5), segment(1, 2 * OK.length, OK, 6)], 2)
    assert.equal(second.checkInvariants(), null)
    second.finish()
    if (damage === 'no such protocol') assert.equal(flows.length, 0)
    // The answer to a request that nobody here saw may stand alone; the next exchange is whole.
    else assert.ok(flows.some((flow) => flow.resource === '/a' && flow.status_code === 200 && flow.complete === 1))
  }
})
