import type { StateReader, StateWriter } from '../../../core/state.js'

const PADDING = 64
const NONE = 255
/** Value of each character; those of no meaning are NONE. RFC 4648 section 4. */
const VALUES = new Uint8Array(256).fill(NONE)
for (const [value, char] of [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/='].entries()) {
  VALUES[char.charCodeAt(0)] = value
}

/** Base64 as it comes by, in groups of four characters. A group with padding may be followed by others: parts joined. */
export class Base64Reader {
  /** Characters of the group under way, their bits, and how many of them are padding. */
  #chars = 0
  #bits = 0
  #padding = 0

  /** The bytes that are whole now; null for characters that are not base64. */
  read(bytes: Buffer, from: number, to: number): Buffer | null {
    const out = Buffer.allocUnsafe(Math.ceil((this.#chars + to - from) / 4) * 3)
    let size = 0
    for (let at = from; at < to; at++) {
      const value = VALUES[bytes[at]]
      if (value === NONE) return null
      if (value === PADDING) this.#padding += 1
      else if (this.#padding > 0) return null
      this.#bits = (this.#bits << 6) | (value & 63)
      this.#chars += 1
      if (this.#chars < 4) continue
      if (this.#padding > 2) return null
      out[size++] = this.#bits >>> 16
      if (this.#padding < 2) out[size++] = this.#bits >>> 8
      if (this.#padding < 1) out[size++] = this.#bits
      this.#chars = 0
      this.#bits = 0
      this.#padding = 0
    }
    return out.subarray(0, size)
  }

  save(out: StateWriter): void {
    out.u8(this.#chars)
    out.u8(this.#padding)
    out.u32(this.#bits)
  }

  restore(state: StateReader): void {
    this.#chars = state.u8()
    this.#padding = state.u8()
    this.#bits = state.u32()
  }
}
