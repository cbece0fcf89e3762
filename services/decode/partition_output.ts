/** What one input partition has brought since its last commit, ready to be sent. */

import type { Flow } from '../core/flow.js'
import type { BusMessage, BusRecord } from '../core/ports/bus.js'
import type { ConnectionRow, CoverageRow } from '../core/rows.js'
import { MESSAGE_BYTES_MAX } from '../core/topics.js'
import { encodeFlow } from '../core/wire/flow.js'
import { encodeRow } from '../core/wire/rows.js'

/** A dead letter's header may hold any reason; this much of it is kept. */
const REASON_CHARS_MAX = 200

export class PartitionOutput {
  readonly flows: BusMessage[] = []
  readonly connections: BusMessage[] = []
  readonly coverage: BusMessage[] = []
  readonly deadLetters: BusMessage[] = []
  bytes = 0
  segments = 0
  #connId = ''
  #key: Buffer = Buffer.alloc(0)

  flow(flow: Flow): void {
    this.flows.push(this.#keyed(flow.conn_id, encodeFlow(flow)))
  }

  connection(row: ConnectionRow): void {
    this.connections.push(this.#keyed(row.conn_id, encodeRow(row)))
  }

  /** Flows of a connection often follow each other: they share their key. */
  #keyed(connId: string, value: Buffer): BusMessage {
    if (connId !== this.#connId) {
      this.#connId = connId
      this.#key = Buffer.from(connId)
    }
    this.bytes += value.length
    return { key: this.#key, value }
  }

  lost(row: CoverageRow): void {
    this.coverage.push({ key: null, value: encodeRow(row) })
  }

  /** As it was; of one that with its key and headers would be too large for the bus, its beginning. */
  deadLetter({ topic, partition, offset, value }: BusRecord, error: unknown): void {
    const reason = (error as Error).message.slice(0, REASON_CHARS_MAX)
    const headers = { topic, partition: String(partition), offset: String(offset), reason, bytes: String(value.length) }
    const kept = value.subarray(0, MESSAGE_BYTES_MAX)
    this.deadLetters.push({ key: Buffer.from(`${topic}/${partition}/${offset}`), value: kept, headers })
    this.bytes += kept.length
  }
}
