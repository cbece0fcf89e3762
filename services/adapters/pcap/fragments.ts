/** IP datagrams put together from fragments (RFC 791 section 3.2, RFC 8200 section 4.5). Where fragments overlap, the first wins. */

/** Datagrams under way: a flood of first fragments pushes out the oldest. */
const DATAGRAMS_MAX = 1024
/** Bytes of all of them; Linux's own limit is 4 MiB. */
const HELD_BYTES_MAX = 16 << 20
/** RFC 8200: 60 s; Linux keeps them 30 s. Capture time. */
const LIFETIME_US = 30_000_000
/** A datagram has at most 65 535 bytes. */
const DATAGRAM_BYTES_MAX = 65_535
/** Room at first; an Ethernet's datagram of two fragments fits. */
const ROOM_BYTES = 4096

class Datagram {
  readonly firstUs: number
  /** Header of the fragment with offset 0, once it is here. */
  head: Buffer
  /** Payload so far, and for each byte of it whether it is there. */
  #bytes = Buffer.allocUnsafeSlow(ROOM_BYTES)
  #present = new Uint8Array(ROOM_BYTES)
  #presentCount = 0
  /** -1 until the last fragment is here. */
  #totalSize = -1

  constructor(head: Buffer, firstUs: number) {
    this.head = Buffer.from(head)
    this.firstUs = firstUs
  }

  get roomBytes(): number {
    return this.#bytes.length
  }

  get presentBytes(): number {
    return this.#presentCount
  }

  add(offset: number, payload: Buffer, more: boolean): void {
    const end = this.#totalSize < 0 ? offset + payload.length : Math.min(offset + payload.length, this.#totalSize)
    if (end > this.#bytes.length) this.#grow(end)
    for (let at = offset; at < end; at++) {
      if (this.#present[at] === 1) continue
      this.#present[at] = 1
      this.#bytes[at] = payload[at - offset]
      this.#presentCount += 1
    }
    if (more || this.#totalSize >= 0) return
    // What lies behind the end that the last fragment names does not count.
    this.#totalSize = offset + payload.length
    for (let at = this.#totalSize; at < this.#present.length; at++) this.#presentCount -= this.#present[at]
  }

  whole(): Buffer | null {
    if (this.#totalSize < 0 || this.#presentCount < this.#totalSize) return null
    return Buffer.concat([this.head, this.#bytes.subarray(0, this.#totalSize)])
  }

  #grow(size: number): void {
    const room = Math.max(size, 2 * this.#bytes.length)
    const bytes = Buffer.allocUnsafeSlow(room)
    this.#bytes.copy(bytes)
    const present = new Uint8Array(room)
    present.set(this.#present)
    this.#bytes = bytes
    this.#present = present
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
    if (offset + payload.length > DATAGRAM_BYTES_MAX) {
      if (datagram === undefined) this.#dropped.push(payload.length)
      else this.#drop(key, datagram)
      return null
    }
    if (datagram === undefined) {
      datagram = new Datagram(head, timeUs)
      this.#datagrams.set(key, datagram)
      this.#heldBytes += datagram.roomBytes
    }
    const room = datagram.roomBytes
    if (offset === 0) datagram.head = Buffer.from(head)
    datagram.add(offset, payload, more)
    this.#heldBytes += datagram.roomBytes - room
    const whole = datagram.whole()
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
    this.#dropped.push(datagram.presentBytes)
  }

  #remove(key: string, datagram: Datagram): void {
    this.#datagrams.delete(key)
    this.#heldBytes -= datagram.roomBytes
  }
}
