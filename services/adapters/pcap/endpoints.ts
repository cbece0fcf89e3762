/** Finds the connection of a packet by its addresses and ports, without making a string or an object per packet. */
import type { TransportPacket } from './dissect.js'

/** The two ends in the order of the first packet: `a` sent it. */
export class EndpointPair {
  readonly addressSize: number
  readonly a: Buffer
  readonly b: Buffer
  readonly aPort: number
  readonly bPort: number
  /** Next pair with the same hash. */
  next: EndpointPair | null = null

  constructor(packet: TransportPacket, aPort: number, bPort: number) {
    const { bytes, sourceAt, targetAt, addressSize } = packet
    this.addressSize = addressSize
    this.a = Buffer.from(bytes.subarray(sourceAt, sourceAt + addressSize))
    this.b = Buffer.from(bytes.subarray(targetAt, targetAt + addressSize))
    this.aPort = aPort
    this.bPort = bPort
  }

  /** 0: the packet goes from a to b; 1: from b to a; -1: other ends. */
  side(packet: TransportPacket, sourcePort: number, targetPort: number): number {
    if (packet.addressSize !== this.addressSize) return -1
    const { bytes, sourceAt, targetAt } = packet
    if (sourcePort === this.aPort && targetPort === this.bPort) {
      if (same(bytes, sourceAt, this.a) && same(bytes, targetAt, this.b)) return 0
    }
    if (sourcePort === this.bPort && targetPort === this.aPort) {
      if (same(bytes, sourceAt, this.b) && same(bytes, targetAt, this.a)) return 1
    }
    return -1
  }
}

function same(bytes: Buffer, at: number, address: Buffer): boolean {
  for (let i = 0; i < address.length; i++) if (bytes[at + i] !== address[i]) return false
  return true
}

/** The same for both directions of a connection: the sum of what each end hashes to. */
export function pairHash(packet: TransportPacket, sourcePort: number, targetPort: number): number {
  const { bytes, sourceAt, targetAt, addressSize } = packet
  return (endHash(bytes, sourceAt, addressSize, sourcePort) + endHash(bytes, targetAt, addressSize, targetPort)) | 0
}

function endHash(bytes: Buffer, at: number, size: number, port: number): number {
  let hash = port | 0
  for (let i = 0; i < size; i += 4) {
    const word = (bytes[at + i] << 24) | (bytes[at + i + 1] << 16) | (bytes[at + i + 2] << 8) | bytes[at + i + 3]
    hash = Math.imul(hash ^ word, 0x9e3779b1)
    hash ^= hash >>> 15
  }
  return Math.imul(hash, 0x85ebca6b)
}

export class EndpointTable<T extends EndpointPair> {
  readonly #heads = new Map<number, T>()
  size = 0

  first(hash: number): T | undefined {
    return this.#heads.get(hash)
  }

  add(hash: number, pair: T): void {
    pair.next = this.#heads.get(hash) ?? null
    this.#heads.set(hash, pair)
    this.size += 1
  }

  remove(hash: number, pair: T): void {
    const head = this.#heads.get(hash)
    if (head === pair) {
      if (pair.next === null) this.#heads.delete(hash)
      else this.#heads.set(hash, pair.next as T)
      this.size -= 1
      return
    }
    for (let at: EndpointPair | null = head ?? null; at !== null; at = at.next) {
      if (at.next !== pair) continue
      at.next = pair.next
      this.size -= 1
      return
    }
  }

  *values(): Generator<T> {
    for (const head of this.#heads.values()) {
      for (let at: EndpointPair | null = head; at !== null; at = at.next) yield at as T
    }
  }
}
