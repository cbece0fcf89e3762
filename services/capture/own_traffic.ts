/**
 * What klartext itself says to its Kafka: captured and published it would come by again, on this node or on the broker's, and
 * be captured again, without end. A request of Kafka's protocol names its client in its header (KIP-511 and before: api key,
 * api version, correlation id, client id), so that such a connection is known by its first request, wherever it is seen.
 */
import type { Segment } from '../core/segment.js'

export interface OwnTrafficOptions {
  /** Ports of the brokers; nothing else is looked at. */
  readonly ports: readonly number[]
  /** As klartext's own clients call themselves. */
  readonly clientId: string
}

/** Connections that are remembered; the oldest are known again by their next request. */
const CONNECTIONS_MAX = 16_384
/** A server may read the size before a request by itself. */
const STARTS = [4, 0]
const API_KEYS_MAX = 200
const API_VERSIONS_MAX = 50

export class OwnTraffic {
  readonly #ports: ReadonlySet<number>
  readonly #name: Buffer
  readonly #known = new Set<bigint>()
  count = 0
  bytes = 0

  constructor({ ports, clientId }: OwnTrafficOptions) {
    this.#ports = new Set(ports)
    const name = Buffer.from(clientId)
    this.#name = Buffer.alloc(2 + name.length)
    this.#name.writeInt16BE(name.length)
    name.copy(this.#name, 2)
  }

  /** True, and counted, where the segment must not be published. */
  take(segment: Segment): boolean {
    const { id, serverPort, clientPort } = segment.connection
    // Of plaintext taken from a TLS library the address is not known at first; which end is which may be guessed.
    if (serverPort !== 0 && !this.#ports.has(serverPort) && !this.#ports.has(clientPort)) return false
    if (!this.#known.has(id)) {
      if (!this.#isRequest(segment.payload)) return false
      this.#remember(id)
    }
    this.count += 1
    this.bytes += segment.length
    return true
  }

  #isRequest(payload: Buffer): boolean {
    for (const start of STARTS) {
      const nameAt = start + 8
      if (payload.length < nameAt + this.#name.length) continue
      if (payload.readInt16BE(start) < 0 || payload.readInt16BE(start) > API_KEYS_MAX) continue
      if (payload.readInt16BE(start + 2) < 0 || payload.readInt16BE(start + 2) > API_VERSIONS_MAX) continue
      if (payload.compare(this.#name, 0, this.#name.length, nameAt, nameAt + this.#name.length) === 0) return true
    }
    return false
  }

  #remember(id: bigint): void {
    if (this.#known.size >= CONNECTIONS_MAX) {
      for (const oldest of this.#known) {
        this.#known.delete(oldest)
        break
      }
    }
    this.#known.add(id)
  }
}
