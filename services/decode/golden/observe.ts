/** Runs segments through the pipeline and keeps what comes out: the flows, and the exchanges that decoders handed over. */
import type { Exchange } from '../../core/exchange.js'
import { type Flow, plainFlow } from '../../core/flow.js'
import type { Protocol } from '../../core/protocol.js'
import type { ConnectionRow } from '../../core/rows.js'
import type { Segment } from '../../core/segment.js'
import { flowToJson } from '../../core/wire/flow_json.js'
import { DecodePipeline } from '../pipeline.js'
import { defaultPolicy, FlowPolicy } from '../policy.js'

export class Observed {
  readonly #rows: Flow[] = []
  readonly exchanges: Exchange[] = []
  readonly connections: ConnectionRow[] = []

  add(flow: Flow): void {
    this.#rows.push(flow)
  }

  get flows(): Flow[] {
    return this.#rows.map(plainFlow)
  }

  /** All columns of each flow, a line each: cheaper to compare than objects. */
  get lines(): string[] {
    return this.#rows.map(flowToJson)
  }
}

const FULL = new FlowPolicy(defaultPolicy('full'))

/** Throws where a decoder failed or the sums do not hold. */
export function observe(segments: readonly Segment[], protocols: readonly Protocol[], withoutAttrs = false): Observed {
  const observed = new Observed()
  handedOver = observed.exchanges
  const pipeline = new DecodePipeline({
    protocols: listening(protocols),
    policy: FULL,
    withoutAttrs,
    onFlow: (flow) => observed.add(flow),
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

/** Of the run that goes on; runs do not overlap. */
let handedOver: Exchange[] = []
const listeners = new WeakMap<readonly Protocol[], readonly Protocol[]>()

/** The same protocols, whose decoders tell `handedOver` too. */
function listening(protocols: readonly Protocol[]): readonly Protocol[] {
  const known = listeners.get(protocols)
  if (known !== undefined) return known
  const made = protocols.map((protocol) => ({
    ...protocol,
    open: (...[out, begin]: Parameters<Protocol['open']>) =>
      protocol.open(
        {
          exchange(exchange) {
            handedOver.push(exchange)
            out.exchange(exchange)
          },
          withoutAttrs: out.withoutAttrs === true,
        },
        begin,
      ),
  }))
  listeners.set(protocols, made)
  return made
}

/** Flows as text, for comparing runs in which exchanges may have ended in another order. */
export function inTimeOrder(flows: readonly Flow[]): string[] {
  return flows.map((flow) => JSON.stringify({ ...flow, exchange_seq: 0 })).sort()
}
