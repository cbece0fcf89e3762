/** What a checkpoint of one connection may weigh: it has to go into one message, or its partition stands still for ever. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Flags, headers, PREFACE, request, settings } from '../../test/fakes/http2_frames.js'
import { wastefulHttp2 } from '../../test/fakes/wasteful_http2.js'
import type { Flow } from '../core/flow.js'
import type { ConnectionRow } from '../core/rows.js'
import { ConnectionInfo, Segment, TO_SERVER } from '../core/segment.js'
import { MESSAGE_BYTES_MAX } from '../core/topics.js'
import type { CheckpointEntry } from './checkpoint_keys.js'
import { DecodePipeline } from './pipeline.js'
import { defaultPolicy, FlowPolicy } from './policy.js'

const START_US = 1_790_000_000_000_000
const STREAMS = 300

test('a connection whose state fits into no message is closed, with all that was open, in the same checkpoint', () => {
  const flows: Flow[] = []
  const rows: ConnectionRow[] = []
  const pipeline = new DecodePipeline({
    protocols: [wastefulHttp2()],
    policy: new FlowPolicy(defaultPolicy('full')),
    onFlow: (flow) => flows.push(flow),
    onConnection: (row) => rows.push(row),
  })
  pipeline.keepChanges()
  const info = new ConnectionInfo(1n)
  info.clientIp = '10.0.0.1'
  let position = 0
  const push = (payload: Buffer) => {
    pipeline.push([new Segment(info, TO_SERVER, position, payload.length, payload, START_US + position, 0, 0)])
    position += payload.length
  }
  push(Buffer.concat([PREFACE, settings()]))
  assert.equal(pipeline.takeCheckpoint().length, 1)
  const entries: CheckpointEntry[] = []
  for (let i = 0; i < STREAMS && rows.length === 0; i++) {
    push(headers(2 * i + 1, request(`/${i}`), Flags.END_HEADERS))
    if (i % 50 === 49) entries.push(...pipeline.takeCheckpoint())
  }
  assert.ok(Math.max(...entries.map(({ value }) => value?.length ?? 0)) <= MESSAGE_BYTES_MAX)
  assert.deepEqual(
    rows.map(({ state, exchanges }) => [state, exchanges]),
    [['evicted', flows.length]],
  )
  assert.equal(flows.filter(({ complete }) => complete === 0).length, flows.length)
  // What an older checkpoint says of it is taken back.
  assert.equal(entries.at(-2)?.value, null)
  assert.equal(pipeline.openConnections, 0)
  assert.equal(pipeline.checkInvariants(), null)
})
