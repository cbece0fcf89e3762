/** Finds the connection of a packet by its addresses and ports, without making a string or an object per packet. */
import type { TransportPacket } from './transport_packet.js'

/** One end of a packet: address and port. The address is kept as words: comparing them takes no loop and no further object. */
export class PacketEnd {
  addressSize = 0
  port = 0
  hash = 0
  /** Of an IPv4 address there is only the first. */
  word0 = 0
  word1 = 0
  word2 = 0
  word3 = 0

  read(bytes: Buffer, addressAt: number, addressSize: number, portAt: number): void {
    this.addressSize = addressSize
    this.port = (bytes[portAt] << 8) | bytes[portAt + 1]
    this.word0 = word(bytes, addressAt)
    let hash = stir(this.port, this.word0)
    if (addressSize === 16) {
      this.word1 = word(bytes, addressAt + 4)
      this.word2 = word(bytes, addressAt + 8)
      this.word3 = word(bytes, addressAt + 12)
      hash = stir(stir(stir(hash, this.word1), this.word2), this.word3)
    }
    this.hash = Math.imul(hash, 0x85ebca6b)
  }
}

function word(bytes: Buffer, at: number): number {
  return (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]
}

function stir(hash: number, more: number): number {
  const mixed = Math.imul(hash ^ more, 0x9e3779b1)
  return mixed ^ (mixed >>> 15)
}

/** The ends of a packet; one object per tracker, filled anew for every packet. */
export class PacketEnds {
  readonly source = new PacketEnd()
  readonly target = new PacketEnd()

  read({ bytes, start, sourceAt, targetAt, addressSize }: TransportPacket): void {
    this.source.read(bytes, sourceAt, addressSize, start)
    this.target.read(bytes, targetAt, addressSize, start + 2)
  }

  /** The same for both directions. */
  get hash(): number {
    return (this.source.hash + this.target.hash) | 0
  }
}

/** The two ends in the order of the first packet: `a` sent it. */
export class EndpointPair {
  readonly addressSize: number
  readonly aPort: number
  readonly bPort: number
  /** As `PacketEnds.hash`. */
  readonly hash: number
  readonly #a0: number
  readonly #a1: number
  readonly #a2: number
  readonly #a3: number
  readonly #b0: number
  readonly #b1: number
  readonly #b2: number
  readonly #b3: number
  /** Next pair with the same hash. */
  next: EndpointPair | null = null

  constructor(ends: PacketEnds) {
    const { source, target } = ends
    this.addressSize = source.addressSize
    this.aPort = source.port
    this.bPort = target.port
    this.hash = ends.hash
    this.#a0 = source.word0
    this.#a1 = source.word1
    this.#a2 = source.word2
    this.#a3 = source.word3
    this.#b0 = target.word0
    this.#b1 = target.word1
    this.#b2 = target.word2
    this.#b3 = target.word3
  }

  /** 0: the packet goes from a to b; 1: from b to a; -1: other ends. */
  side({ source, target }: PacketEnds): number {
    if (source.addressSize !== this.addressSize) return -1
    if (this.#isA(source) && this.#isB(target)) return 0
    return this.#isB(source) && this.#isA(target) ? 1 : -1
  }

  #isA(end: PacketEnd): boolean {
    if (end.port !== this.aPort || end.word0 !== this.#a0) return false
    return this.addressSize === 4 || (end.word1 === this.#a1 && end.word2 === this.#a2 && end.word3 === this.#a3)
  }

  #isB(end: PacketEnd): boolean {
    if (end.port !== this.bPort || end.word0 !== this.#b0) return false
    return this.addressSize === 4 || (end.word1 === this.#b1 && end.word2 === this.#b2 && end.word3 === this.#b3)
  }

  get a(): Uint8Array {
    return addressOf(this.addressSize, [this.#a0, this.#a1, this.#a2, this.#a3])
  }

  get b(): Uint8Array {
    return addressOf(this.addressSize, [this.#b0, this.#b1, this.#b2, this.#b3])
  }
}

function addressOf(size: number, words: readonly number[]): Uint8Array {
  const address = new Uint8Array(size)
  for (let i = 0; i < size; i++) address[i] = words[i >> 2] >>> (24 - 8 * (i & 3))
  return address
}

/**
 * Pairs by the sum of their two end hashes, which is the same for both directions. Whoever makes a capture can make
 * addresses that share a hash, so that a chain is searched only so far: what lies behind is given up, oldest first.
 */
const CHAIN_MAX = 64

export class EndpointTable<T extends EndpointPair> {
  readonly #heads = new Map<number, T>()
  #last: T | null = null
  size = 0
  /** Of the pair that `find` found: 0 or 1 as `EndpointPair.side`. */
  side = 0

  find(ends: PacketEnds): T | undefined {
    // What an end says is mostly acknowledged, continued or answered next.
    if (this.#last !== null) {
      this.side = this.#last.side(ends)
      if (this.side >= 0) return this.#last
    }
    let pair = this.#heads.get(ends.hash)
    while (pair !== undefined) {
      this.side = pair.side(ends)
      if (this.side >= 0) return (this.#last = pair)
      pair = (pair.next ?? undefined) as T | undefined
    }
    return undefined
  }

  /** The pair at the end of the chain that `pair` would make too long; the caller gives it up first. */
  overflow(ends: PacketEnds): T | undefined {
    let pair = this.#heads.get(ends.hash)
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
    if (this.#last === pair) this.#last = null
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
