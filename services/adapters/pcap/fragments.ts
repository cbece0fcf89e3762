/** IP datagrams put together from fragments (RFC 791 section 3.2, RFC 8200 section 4.5). Where fragments overlap, the first wins. */

/** Datagrams under way; each costs at most 64 KiB, so that a flood of first fragments stays below 64 MiB. */
const DATAGRAMS_MAX = 1024
/** RFC 8200: 60 s; Linux keeps them 30 s. Capture time. */
const LIFETIME_US = 30_000_000
/** A datagram has at most 65 535 bytes. */
const DATAGRAM_BYTES_MAX = 65_535
const FRAGMENTS_MAX = 256

interface Piece {
  readonly offset: number
  readonly bytes: Buffer
}

class Datagram {
  readonly firstUs: number
  readonly pieces: Piece[] = []
  head: Buffer
  totalSize = -1

  constructor(head: Buffer, firstUs: number) {
    this.head = head
    this.firstUs = firstUs
  }

  get heldBytes(): number {
    return this.pieces.reduce((sum, piece) => sum + piece.bytes.length, 0)
  }
}

export class FragmentTable {
  readonly #datagrams = new Map<string, Datagram>()
  #dropped: number[] = []

  /** The whole datagram, header first, once its last missing fragment is here; otherwise null. */
  add(key: string, head: Buffer, offset: number, more: boolean, payload: Buffer, timeUs: number): Buffer | null {
    let datagram = this.#datagrams.get(key)
    if (datagram !== undefined && timeUs - datagram.firstUs > LIFETIME_US) {
      this.#drop(key, datagram)
      datagram = undefined
    }
    if (datagram === undefined) {
      for (const [oldKey, old] of this.#datagrams) {
        if (this.#datagrams.size < DATAGRAMS_MAX && timeUs - old.firstUs <= LIFETIME_US) break
        this.#drop(oldKey, old)
      }
      datagram = new Datagram(Buffer.from(head), timeUs)
      this.#datagrams.set(key, datagram)
    }
    if (offset === 0) datagram.head = Buffer.from(head)
    if (offset + payload.length > DATAGRAM_BYTES_MAX || datagram.pieces.length >= FRAGMENTS_MAX) {
      this.#drop(key, datagram)
      return null
    }
    if (!more && datagram.totalSize < 0) datagram.totalSize = offset + payload.length
    // Copied: fragments wait longer than the file block they lie in.
    datagram.pieces.push({ offset, bytes: Buffer.from(payload) })
    const whole = assemble(datagram)
    if (whole !== null) this.#datagrams.delete(key)
    return whole
  }

  /** Sizes of the datagrams given up since the last call. */
  takeDropped(): number[] {
    if (this.#dropped.length === 0) return this.#dropped
    const dropped = this.#dropped
    this.#dropped = []
    return dropped
  }

  /** Gives up all that is still incomplete. */
  drop(): number[] {
    for (const [key, datagram] of this.#datagrams) this.#drop(key, datagram)
    return this.takeDropped()
  }

  #drop(key: string, datagram: Datagram): void {
    this.#datagrams.delete(key)
    this.#dropped.push(datagram.heldBytes)
  }
}

function assemble(datagram: Datagram): Buffer | null {
  const { totalSize, pieces, head } = datagram
  if (totalSize < 0) return null
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
