/** What one connection may hold, whatever its segments are. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CERTAIN, MORE, type Protocol } from '../core/protocol.js'
import { ConnectionInfo, type Direction, Segment, TO_CLIENT, TO_SERVER } from '../core/segment.js'
import { CONNECTION_BYTES_MAX, HELD_BYTES_MAX, PENDING_BYTES_MAX } from './limits.js'
import { DecodePipeline } from './pipeline.js'
import { defaultPolicy, FlowPolicy } from './policy.js'
import { http1 } from './protocols/http1/http1.js'

const START_US = 1_790_000_000_000_000

function pipelineOf(protocol: Protocol): DecodePipeline {
  return new DecodePipeline({
    protocols: [protocol],
    policy: new FlowPolicy(defaultPolicy('full')),
    onFlow: () => {},
    onConnection: () => {},
  })
}

function segment(info: ConnectionInfo, direction: Direction, position: number, payload: Buffer): Segment {
  return new Segment(info, direction, position, payload.length, payload, START_US, 0, 0)
}

/** Understands nothing and always hopes for more. */
const hoping: Protocol = {
  name: 'hoping',
  transports: ['tcp'],
  privacy: {},
  probe: () => CERTAIN,
  turned: () => false,
  open: () => ({
    parse: () => MORE,
    resync: () => -1,
    gap: () => false,
    end: () => {},
    close: () => {},
    save: () => {},
    restore: () => true,
  }),
}

test('a large segment does not stay for the few bytes of a frame that it ends with', () => {
  const pipeline = pipelineOf(http1)
  const info = new ConnectionInfo(1n)
  const first = Buffer.from('POST /a HTTP/1.1\r\nHost: h\r\nContent-Le')
  const second = Buffer.from(`ngth: 1048576\r\n\r\n${'x'.repeat(1 << 20)}POST /b HT`)
  pipeline.push([segment(info, TO_SERVER, 0, first)])
  pipeline.push([segment(info, TO_SERVER, first.length, second)])
  assert.equal(pipeline.checkInvariants(), null)
  assert.ok(pipeline.accounting.ownBytes < 4096, `${pipeline.accounting.ownBytes} bytes`)
})

test('a connection that would hold more than it may is closed', () => {
  const pipeline = pipelineOf(hoping)
  const info = new ConnectionInfo(1n)
  let most = 0
  const push = (direction: Direction, position: number, size: number) => {
    pipeline.push([segment(info, direction, position, Buffer.alloc(size, 1))])
    assert.equal(pipeline.checkInvariants(), null)
    most = Math.max(most, pipeline.accounting.ownBytes)
  }
  for (const direction of [TO_SERVER, TO_CLIENT] as const) {
    for (let at = 0; at < PENDING_BYTES_MAX - 1; at += 1023)
      push(direction, at, Math.min(1023, PENDING_BYTES_MAX - 1 - at))
    for (let at = 0; at < HELD_BYTES_MAX; at += 8192) push(direction, PENDING_BYTES_MAX + 10 + at, 8192)
  }
  assert.ok(most > CONNECTION_BYTES_MAX / 2, `${most} bytes were held`)
  assert.ok(most <= CONNECTION_BYTES_MAX, `${most} bytes were held`)
  pipeline.finish()
  assert.equal(pipeline.checkInvariants(), null)
  assert.equal(pipeline.accounting.ownBytes, 0)
})
