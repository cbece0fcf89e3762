/** First bytes that do not tell what they are wait for the answer, within bounds. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Flow } from '../core/flow.js'
import { ConnectionInfo, type Direction, Segment, SegmentFlag, TO_CLIENT, TO_SERVER } from '../core/segment.js'
import { PROBE_BYTES_MAX, UNDECIDED_BYTES_MAX } from './limits.js'
import { DecodePipeline } from './pipeline.js'
import { defaultPolicy, FlowPolicy } from './policy.js'
import { PROTOCOLS } from './protocols/registry.js'

/** A connection to which each call adds a segment; empty text closes that side. */
function conversation() {
  const flows: Flow[] = []
  let probes = 0
  const protocols = PROTOCOLS.map((protocol) => ({
    ...protocol,
    probe: (...words: Parameters<typeof protocol.probe>) => {
      probes += 1
      return protocol.probe(...words)
    },
  }))
  const policy = new FlowPolicy(defaultPolicy('full'))
  const pipeline = new DecodePipeline({ protocols, policy, onFlow: (flow) => flows.push(flow), onConnection: () => {} })
  const info = new ConnectionInfo(1n)
  Object.assign(info, { clientIp: '10.0.0.1', serverIp: '10.0.0.2' })
  const positions = [0, 0]
  let timeUs = 1_790_000_000_000_000
  const say = (direction: Direction, text: string) => {
    const bytes = Buffer.from(text)
    const flags = text === '' ? SegmentFlag.CLOSE : 0
    const position = positions[direction]
    positions[direction] += bytes.length
    timeUs += 1000
    pipeline.push([new Segment(info, direction, position, bytes.length, bytes, timeUs, 0, flags)])
    assert.equal(pipeline.checkInvariants(), null)
  }
  return { flows, pipeline, say, probes: () => probes }
}

const LINES = 400
const BATCH = Array.from({ length: LINES }, (_, i) => `SET key:${i} value:${i}\r\n`).join('')

test('a batch of lines longer than what probes look at is decoded once its answers come, and is not probed on and on', () => {
  const { flows, say, probes } = conversation()
  assert.ok(BATCH.length > 2 * PROBE_BYTES_MAX)
  for (let at = 0; at < BATCH.length; at += 16) say(TO_SERVER, BATCH.slice(at, at + 16))
  const asked = probes()
  assert.ok(asked <= (PROTOCOLS.length * (PROBE_BYTES_MAX + 16)) / 16, `${asked} probes`)
  say(TO_SERVER, '')
  say(TO_CLIENT, '+OK\r\n'.repeat(LINES))
  say(TO_CLIENT, '')
  assert.equal(flows.length, LINES)
  assert.equal(flows[LINES - 1].resource, `key:${LINES - 1}`)
  assert.ok(flows.every(({ complete, status_code }) => complete === 1 && status_code === 0))
})

test('lines that nobody answers are held to a bound, and given up when the answer is of another protocol', () => {
  const { flows, pipeline, say } = conversation()
  for (let sent = 0; sent < 4 * UNDECIDED_BYTES_MAX; sent += BATCH.length) {
    say(TO_SERVER, BATCH)
    assert.ok(pipeline.accounting.ownBytes <= 3 * UNDECIDED_BYTES_MAX, `${pipeline.accounting.ownBytes} bytes held`)
  }
  const other = conversation()
  other.say(TO_SERVER, 'get key:1\r\n')
  other.say(TO_SERVER, '')
  other.say(TO_CLIENT, 'VALUE key:1 0 1\r\n1\r\nEND\r\n')
  const { payloadBytes, allSkippedBytes } = other.pipeline.accounting
  assert.equal(allSkippedBytes, payloadBytes)
  assert.equal(flows.length + other.flows.length, 0)
})
