/** IP datagrams put together from fragments (RFC 791 section 3.2, RFC 8200 section 4.5). Where fragments overlap, the first wins. */

/** Datagrams under way: a flood of first fragments pushes out the oldest. */
const DATAGRAMS_MAX = 1024
/** Bytes of all of them; Linux's own limit is 4 MiB. */
const HELD_BYTES_MAX = 16 << 20
/** RFC 8200: 60 s; Linux keeps them 30 s. Capture time. */
const LIFETIME_US = 30_000_000
/** A datagram has at most 65 535 bytes. */
const DATAGRAM_BYTES_MAX = 65_535
/** 64 KiB in pieces of the smallest allowed link (RFC 791: 68 bytes) need more, but nothing sends so. */
const FRAGMENTS_MAX = 256

interface Piece {
  readonly offset: number
  readonly bytes: Buffer
}

class Datagram {
  readonly firstUs: number
  readonly pieces: Piece[] = []
  head: Buffer
  heldBytes = 0
  /** -1 until the last fragment is here. */
  totalSize = -1

  constructor(head: Buffer, firstUs: number) {
    this.head = head
    this.firstUs = firstUs
  }
}

export class FragmentTable {
  /** Oldest first. */
  readonly #datagrams = new Map<string, Datagram>()
  #heldBytes = 0
  #dropped: number[] = []

  /** The whole datagram, header first, once its last missing fragment is here; otherwise null. `payload` is copied. */
  add(key: string, head: Buffer, offset: number, more: boolean, payload: Buffer, timeUs: number): Buffer | null {
    let datagram = this.#datagrams.get(key)
    if (datagram !== undefined && timeUs - datagram.firstUs > LIFETIME_US) {
      this.#drop(key, datagram)
      datagram = undefined
    }
    if (datagram === undefined) {
      datagram = new Datagram(Buffer.from(head), timeUs)
      this.#datagrams.set(key, datagram)
    }
    if (offset === 0) datagram.head = Buffer.from(head)
    if (offset + payload.length > DATAGRAM_BYTES_MAX || datagram.pieces.length >= FRAGMENTS_MAX) {
      this.#drop(key, datagram)
      return null
    }
    if (!more && datagram.totalSize < 0) datagram.totalSize = offset + payload.length
    datagram.pieces.push({ offset, bytes: Buffer.from(payload) })
    datagram.heldBytes += payload.length
    this.#heldBytes += payload.length
    const whole = assemble(datagram)
    if (whole !== null) this.#remove(key, datagram)
    else this.#makeRoom(timeUs)
    return whole
  }

  /** Bytes of each datagram given up since the last call. */
  takeDropped(): readonly number[] {
    if (this.#dropped.length === 0) return this.#dropped
    const dropped = this.#dropped
    this.#dropped = []
    return dropped
  }

  /** Gives up all that is still incomplete. */
  drop(): void {
    for (const [key, datagram] of this.#datagrams) this.#drop(key, datagram)
  }

  get heldBytes(): number {
    return this.#heldBytes
  }

  #makeRoom(nowUs: number): void {
    for (const [key, datagram] of this.#datagrams) {
      const full = this.#datagrams.size > DATAGRAMS_MAX || this.#heldBytes > HELD_BYTES_MAX
      if (!full && nowUs - datagram.firstUs <= LIFETIME_US) return
      this.#drop(key, datagram)
    }
  }

  #drop(key: string, datagram: Datagram): void {
    this.#remove(key, datagram)
    this.#dropped.push(datagram.heldBytes)
  }

  #remove(key: string, datagram: Datagram): void {
    this.#datagrams.delete(key)
    this.#heldBytes -= datagram.heldBytes
  }
}

function assemble(datagram: Datagram): Buffer | null {
  const { totalSize, pieces, head } = datagram
  if (totalSize < 0 || datagram.heldBytes < totalSize) return null
  const whole = Buffer.alloc(head.length + totalSize)
  head.copy(whole)
  // In order of arrival: a byte that is already there is not written again.
  const filled = new Uint8Array(totalSize)
  let missing = totalSize
  for (const piece of pieces) {
    const size = Math.min(piece.bytes.length, totalSize - piece.offset)
    for (let i = 0; i < size; i++) {
      if (filled[piece.offset + i] === 1) continue
      filled[piece.offset + i] = 1
      whole[head.length + piece.offset + i] = piece.bytes[i]
      missing -= 1
    }
  }
  return missing === 0 ? whole : null
}
