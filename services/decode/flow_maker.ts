/** Exchanges become flows: named, with their evidence, as policy allows. Those of a connection without addresses wait for them. */
import type { Exchange } from '../core/exchange.js'
import type { Flow, FlowOrigin } from '../core/flow.js'
import type { PodView } from '../core/ports/pods.js'
import type { Accounting } from './accounting.js'
import { type Connection, NO_EXCHANGES } from './connection.js'
import type { Driver } from './driver.js'
import { FlowContext } from './flow_context.js'
import { FlowRow } from './flow_row.js'
import * as limits from './limits.js'
import { nameEnds } from './naming.js'
import type { FlowPolicy } from './policy.js'

export interface FlowMakerOptions {
  readonly policy: FlowPolicy
  readonly onFlow: (flow: Flow, origin: FlowOrigin) => void
  /** Number of the partition of klartext.segments, as evidence in the flows. */
  readonly partition?: number
}

export class FlowMaker {
  readonly #options: FlowMakerOptions
  readonly #accounting: Accounting
  /** What flows are named by. */
  names: PodView | null = null

  constructor(options: FlowMakerOptions, accounting: Accounting) {
    this.#options = options
    this.#accounting = accounting
  }

  /** What the decoder has finished becomes flows, or waits for the addresses of its connection. */
  handOver(connection: Connection, driver: Driver): void {
    const { finished, finishedCount } = driver
    driver.finishedCount = 0
    const { info } = connection
    if (info.clientIp !== '' || info.transport === 'unix' || connection.staysUnbound) {
      for (let i = 0; i < finishedCount; i++) this.#flow(connection, finished[i])
    } else {
      if (connection.unbound.length === 0) {
        connection.unbound = []
        connection.unboundSinceUs = connection.lastUs
      }
      for (let i = 0; i < finishedCount; i++) connection.unbound.push(finished[i])
      if (connection.unbound.length >= limits.UNBOUND_EXCHANGES_MAX) {
        connection.staysUnbound = true
        this.releaseUnbound(connection)
      }
    }
  }

  /** The addresses are known, or are not waited for any longer. */
  releaseUnbound(connection: Connection): void {
    const { unbound } = connection
    connection.unbound = NO_EXCHANGES
    for (const exchange of unbound) this.#flow(connection, exchange)
  }

  #flow(connection: Connection, exchange: Exchange): void {
    if (connection.context === null) connection.context = new FlowContext(connection.info, connection.turned === 1)
    nameEnds(connection.context, this.names, exchange.reqStartUs !== 0 ? exchange.reqStartUs : exchange.respStartUs)
    const flow = new FlowRow(connection.context, exchange, connection.exchanges)
    connection.exchanges += 1
    if (connection.protocol?.encrypted === true) connection.tlsVersion = exchange.tlsVersion
    this.#accounting.flows += 1
    const { evidence } = connection
    if (evidence !== null) {
      flow.seg_partition = this.#options.partition ?? 0
      flow.seg_first = evidence.firstFor(flow.ts)
      flow.seg_last = evidence.last
    }
    this.#options.policy.apply(flow)
    this.#options.onFlow(flow, connection.context)
  }
}
