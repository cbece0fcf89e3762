/** The open connections of a pipeline, bounded: the silent ones are closed first. */
import type { CloseReason } from '../core/protocol.js'
import type { ConnectionInfo, Segment } from '../core/segment.js'
import type { Accounting } from './accounting.js'
import { ClosedConnections } from './closed_connections.js'
import { Connection } from './connection.js'
import * as limits from './limits.js'

export type OnClose = (connection: Connection, reason: CloseReason) => void

export class Connections {
  readonly #accounting: Accounting
  readonly #onClose: OnClose
  readonly #open = new Map<bigint, Connection>()
  readonly closed = new ClosedConnections()

  constructor(accounting: Accounting, onClose: OnClose) {
    this.#accounting = accounting
    this.#onClose = onClose
  }

  get size(): number {
    return this.#open.size
  }

  values(): IterableIterator<Connection> {
    return this.#open.values()
  }

  get(id: bigint): Connection | undefined {
    return this.#open.get(id)
  }

  /** A connection from a checkpoint. */
  restore(connection: Connection): void {
    connection.home = this
    this.#open.set(connection.info.id, connection)
  }

  /** The connection of a segment, made if there is none. `connection.info` is still what was known before. */
  find(segment: Segment): Connection {
    const { connection: info } = segment
    const kept = info.kept as Connection | null
    // What else is kept there stands in another table.
    if (kept !== null && kept.home === this) return kept
    const connection = this.#open.get(info.id) ?? this.#make(info, segment)
    info.kept = connection
    return connection
  }

  #make(info: ConnectionInfo, segment: Segment): Connection {
    if (this.#open.size >= limits.CONNECTIONS_MAX) this.evict(this.#open.size >> 2)
    const connection = new Connection(info, segment.flags, segment.timeUs, this.#accounting)
    const before = this.closed.take(info.id)
    if (before !== undefined) {
      connection.exchanges = before
      connection.midstream = true
    }
    connection.home = this
    this.#open.set(info.id, connection)
    this.#accounting.connections += 1
    return connection
  }

  close(connection: Connection, reason: CloseReason): void {
    this.#open.delete(connection.info.id)
    connection.home = null
    connection.info.kept = null
    this.#accounting.closed[reason] += 1
    this.#onClose(connection, reason)
    this.closed.remember(connection.info.id, connection.exchanges)
  }

  closeIdle(nowUs: number): void {
    for (const connection of this.#open.values()) {
      if (nowUs - connection.lastUs > limits.IDLE_US) this.close(connection, 'idle')
    }
  }

  /** Closes the longest silent connections, `count` of them. */
  evict(count: number): void {
    const all = [...this.#open.values()].sort((a, b) => a.lastUs - b.lastUs)
    for (const connection of all.slice(0, count)) this.close(connection, 'evicted')
  }

  /** Closes the longest silent connections until they hold a quarter less memory than they may. */
  shrink(): void {
    const all = [...this.#open.values()].sort((a, b) => a.lastUs - b.lastUs)
    for (const connection of all) {
      if (this.#accounting.ownBytes <= limits.OWN_BYTES_MAX * 0.75) return
      this.close(connection, 'evicted')
    }
  }

  closeAll(reason: CloseReason): void {
    for (const connection of this.#open.values()) this.close(connection, reason)
  }
}
