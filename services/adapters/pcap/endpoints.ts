/** Finds the connection of a packet by its addresses and ports, without making a string or an object per packet. */
import type { TransportPacket } from './transport_packet.js'

/** The two ends in the order of the first packet: `a` sent it. */
export class EndpointPair {
  readonly addressSize: number
  readonly a: Uint8Array
  readonly b: Uint8Array
  readonly aPort: number
  readonly bPort: number
  readonly aHash: number
  readonly bHash: number
  /** Next pair with the same hash. */
  next: EndpointPair | null = null

  constructor(packet: TransportPacket, ends: PacketEnds) {
    const { bytes, sourceAt, targetAt, addressSize } = packet
    this.addressSize = addressSize
    this.a = copyOf(bytes, sourceAt, addressSize)
    this.b = copyOf(bytes, targetAt, addressSize)
    this.aPort = ends.sourcePort
    this.bPort = ends.targetPort
    this.aHash = ends.sourceHash
    this.bHash = ends.targetHash
  }

  get hash(): number {
    return (this.aHash + this.bHash) | 0
  }

  /** 0: the packet goes from a to b; 1: from b to a; -1: other ends. */
  side(packet: TransportPacket, ends: PacketEnds): number {
    if (packet.addressSize !== this.addressSize) return -1
    if (ends.sourceHash === this.aHash && ends.sourcePort === this.aPort && ends.targetPort === this.bPort) {
      if (same(packet.bytes, packet.sourceAt, this.a) && same(packet.bytes, packet.targetAt, this.b)) return 0
    }
    if (ends.sourceHash === this.bHash && ends.sourcePort === this.bPort && ends.targetPort === this.aPort) {
      if (same(packet.bytes, packet.sourceAt, this.b) && same(packet.bytes, packet.targetAt, this.a)) return 1
    }
    return -1
  }
}

/** Small arrays lie in the heap itself, which costs less than a view of a pool. */
function copyOf(bytes: Buffer, at: number, size: number): Uint8Array {
  const copy = new Uint8Array(size)
  for (let i = 0; i < size; i++) copy[i] = bytes[at + i]
  return copy
}

function same(bytes: Buffer, at: number, address: Uint8Array): boolean {
  for (let i = 0; i < address.length; i++) if (bytes[at + i] !== address[i]) return false
  return true
}

/** Ports of a packet and what its ends hash to; one object per tracker, filled anew for every packet. */
export class PacketEnds {
  sourcePort = 0
  targetPort = 0
  sourceHash = 0
  targetHash = 0

  read(packet: TransportPacket): void {
    const { bytes, start, addressSize } = packet
    this.sourcePort = (bytes[start] << 8) | bytes[start + 1]
    this.targetPort = (bytes[start + 2] << 8) | bytes[start + 3]
    this.sourceHash = endHash(bytes, packet.sourceAt, addressSize, this.sourcePort)
    this.targetHash = endHash(bytes, packet.targetAt, addressSize, this.targetPort)
  }
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

/**
 * Pairs by the sum of their two end hashes, which is the same for both directions. Whoever makes a capture can make
 * addresses that share a hash, so that a chain is searched only so far: what lies behind is given up, oldest first.
 */
const CHAIN_MAX = 64

export class EndpointTable<T extends EndpointPair> {
  readonly #heads = new Map<number, T>()
  size = 0
  /** Of the pair that `find` found: 0 or 1 as `EndpointPair.side`. */
  side = 0

  find(packet: TransportPacket, ends: PacketEnds): T | undefined {
    let pair = this.#heads.get((ends.sourceHash + ends.targetHash) | 0)
    while (pair !== undefined) {
      this.side = pair.side(packet, ends)
      if (this.side >= 0) return pair
      pair = (pair.next ?? undefined) as T | undefined
    }
    return undefined
  }

  /** The pair at the end of the chain that `pair` would make too long; the caller gives it up first. */
  overflow(ends: PacketEnds): T | undefined {
    let pair = this.#heads.get((ends.sourceHash + ends.targetHash) | 0)
    for (let i = 1; pair !== undefined; i++) {
      if (pair.next === null) return i >= CHAIN_MAX ? pair : undefined
      pair = pair.next as T
    }
    return undefined
  }

  add(pair: T): void {
    pair.next = this.#heads.get(pair.hash) ?? null
    this.#heads.set(pair.hash, pair)
    this.size += 1
  }

  remove(pair: T): void {
    const head = this.#heads.get(pair.hash)
    if (head === pair) {
      if (pair.next === null) this.#heads.delete(pair.hash)
      else this.#heads.set(pair.hash, pair.next as T)
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
