/** Decodes segments in one pipeline, or in a row of them where each goes on from the checkpoint of the one before. */
import assert from 'node:assert/strict'
import { type Flow, plainFlow } from '../../services/core/flow.js'
import type { Protocol } from '../../services/core/protocol.js'
import type { ConnectionRow } from '../../services/core/rows.js'
import type { Segment } from '../../services/core/segment.js'
import { DecodePipeline } from '../../services/decode/pipeline.js'
import { defaultPolicy, FlowPolicy } from '../../services/decode/policy.js'
import { PROTOCOLS } from '../../services/decode/protocols/registry.js'

const FULL = new FlowPolicy(defaultPolicy('full'))

export interface Rows {
  readonly flows: Flow[]
  readonly connections: ConnectionRow[]
}

export function pipelineInto({ flows, connections }: Rows, protocols: readonly Protocol[] = PROTOCOLS): DecodePipeline {
  return new DecodePipeline({
    protocols,
    policy: FULL,
    partition: 3,
    onFlow: (flow) => flows.push(plainFlow(flow)),
    onConnection: (row) => connections.push(row),
    onDecoderFailure: (_connection, _protocol, error) => {
      throw error
    },
  })
}

/** `handOver` says after which segments the pipeline is thrown away and another takes its state. */
export function run(segments: readonly Segment[], handOver: (index: number) => boolean): Rows {
  const rows: Rows = { flows: [], connections: [] }
  const state = new Map<string, Buffer>()
  let pipeline = pipelineInto(rows)
  pipeline.keepChanges()
  for (const [i, segment] of segments.entries()) {
    pipeline.push([segment], i)
    assert.equal(pipeline.checkInvariants(), null)
    if (!handOver(i)) continue
    for (const { key, value } of pipeline.takeCheckpoint()) {
      if (value === null) state.delete(key.toString('latin1'))
      else state.set(key.toString('latin1'), value)
    }
    const clock = pipeline.saveClock()
    pipeline = pipelineInto(rows)
    pipeline.restore(
      clock,
      [...state].map(([key, value]) => [Buffer.from(key, 'latin1'), Buffer.from(value)] as const),
    )
    assert.equal(pipeline.checkInvariants(), null)
    assert.equal(pipeline.accounting.statesUnreadable, 0)
  }
  pipeline.finish()
  return rows
}
