/** Parts of lines that are kept as bytes, and a bound on all of them. */
import { type JsonBytes, Piece } from './json_bytes.js'

/** Longer parts are written anew each time. */
const PART_BYTES_MAX = 4096
/** Of all parts that are kept; beyond it they are forgotten and made again as they come. */
const ALL_PARTS_BYTES_MAX = 16 << 20

class KeptParts {
  bytes = 0

  get tooMany(): boolean {
    return this.bytes > ALL_PARTS_BYTES_MAX
  }

  /** What was written to `out` from `from` on; null where that is too long. */
  piece(out: JsonBytes, from: number): Piece | null {
    const size = out.size - from
    if (size > PART_BYTES_MAX) return null
    this.bytes += size
    return new Piece(out.bytes.subarray(from, out.size))
  }
}

export const kept = new KeptParts()
