/** Runs segments through the pipeline and keeps what comes out: the flows, and the exchanges that decoders handed over. */
import type { Exchange } from '../../core/exchange.js'
import { type Flow, plainFlow } from '../../core/flow.js'
import type { Protocol } from '../../core/protocol.js'
import type { ConnectionRow } from '../../core/rows.js'
import type { Segment } from '../../core/segment.js'
import { DecodePipeline } from '../pipeline.js'
import { defaultPolicy, FlowPolicy } from '../policy.js'

export interface Observed {
  readonly flows: Flow[]
  readonly exchanges: Exchange[]
  readonly connections: ConnectionRow[]
}

const FULL = new FlowPolicy(defaultPolicy('full'))

/** Throws where a decoder failed or the sums do not hold. */
export function observe(segments: readonly Segment[], protocols: readonly Protocol[], withoutAttrs = false): Observed {
  const observed: Observed = { flows: [], exchanges: [], connections: [] }
  const pipeline = new DecodePipeline({
    protocols: protocols.map((protocol) => listening(protocol, observed.exchanges)),
    policy: FULL,
    withoutAttrs,
    onFlow: (flow) => observed.flows.push(plainFlow(flow)),
    onConnection: (row) => observed.connections.push(row),
    onDecoderFailure: (_connection, _protocol, error) => {
      throw error
    },
  })
  pipeline.push(segments)
  check(pipeline)
  pipeline.finish()
  check(pipeline)
  return observed
}

function check(pipeline: DecodePipeline): void {
  const broken = pipeline.checkInvariants()
  if (broken !== null) throw new Error(broken)
}

function listening(protocol: Protocol, exchanges: Exchange[]): Protocol {
  return {
    ...protocol,
    open: (out, begin) =>
      protocol.open(
        {
          exchange(exchange) {
            exchanges.push(exchange)
            out.exchange(exchange)
          },
          withoutAttrs: out.withoutAttrs === true,
        },
        begin,
      ),
  }
}

/** Flows as text, for comparing runs in which exchanges may have ended in another order. */
export function inTimeOrder(flows: readonly Flow[]): string[] {
  return flows.map((flow) => JSON.stringify({ ...flow, exchange_seq: 0 })).sort()
}
