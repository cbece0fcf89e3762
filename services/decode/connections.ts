/** The open connections of a pipeline, bounded: the silent ones are closed first. */
import type { CloseReason } from '../core/protocol.js'
import type { ConnectionInfo, Segment } from '../core/segment.js'
import type { Accounting } from './accounting.js'
import { Connection } from './connection.js'
import * as limits from './limits.js'

export type OnClose = (connection: Connection, reason: CloseReason) => void

export class Connections {
  readonly #accounting: Accounting
  readonly #onClose: OnClose
  readonly #open = new Map<bigint, Connection>()
  /** Exchanges of connections that are closed, by id, oldest first: a late segment opens one again, and it counts on. */
  readonly #closedExchanges = new Map<bigint, number>()
  #last: Connection | null = null

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

  /** The connection of a segment, made if there is none. `connection.info` is still what was known before. */
  find(segment: Segment): Connection {
    const { id } = segment.connection
    const last = this.#last
    if (last !== null && (last.info === segment.connection || last.info.id === id)) return last
    const connection = this.#open.get(id) ?? this.#make(segment.connection, segment)
    this.#last = connection
    return connection
  }

  #make(info: ConnectionInfo, segment: Segment): Connection {
    if (this.#open.size >= limits.CONNECTIONS_MAX) this.evict(this.#open.size >> 2)
    const connection = new Connection(info, segment.flags, segment.timeUs, this.#accounting)
    const before = this.#closedExchanges.get(info.id)
    if (before !== undefined) {
      this.#closedExchanges.delete(info.id)
      connection.exchanges = before
      connection.midstream = true
    }
    this.#open.set(info.id, connection)
    this.#accounting.connections += 1
    return connection
  }

  close(connection: Connection, reason: CloseReason): void {
    this.#open.delete(connection.info.id)
    if (this.#last === connection) this.#last = null
    this.#accounting.closed[reason] += 1
    this.#onClose(connection, reason)
    if (this.#closedExchanges.size >= limits.CLOSED_MAX) {
      for (const id of this.#closedExchanges.keys()) {
        this.#closedExchanges.delete(id)
        break
      }
    }
    this.#closedExchanges.set(connection.info.id, connection.exchanges)
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
