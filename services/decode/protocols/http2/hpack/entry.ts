import { kindOf } from '../field_kinds.js'
import { STATIC_TABLE } from './static_table.js'

/** RFC 7541 section 4.1. */
const OVERHEAD_BYTES = 32

/** A header field, as it stands in a table or as a literal. */
export class Entry {
  /** Null where it was named by an entry that the capture does not have. */
  readonly name: string | null
  readonly value: string | null
  /** Of FieldKind. */
  readonly kind: number
  /** As the encoder counts it; without the name where that is unknown. */
  readonly sizeBytes: number
  /** Of what is kept of name and value, in UTF-8: more than came where a peer sends what is none. */
  readonly textBytes: number
  /** The value is longer than what is kept of it. */
  readonly cut: boolean

  constructor(name: string | null, value: string | null, kind: number, valueBytes: number, cut: boolean) {
    this.name = name
    this.value = value
    this.kind = kind
    this.sizeBytes = (name?.length ?? 0) + valueBytes + OVERHEAD_BYTES
    this.textBytes = (name === null ? 0 : Buffer.byteLength(name)) + (value === null ? 0 : Buffer.byteLength(value))
    this.cut = cut
  }
}

/** RFC 7541 appendix A: index 1 is at 0. */
export const STATIC_ENTRIES: readonly Entry[] = STATIC_TABLE.map(
  ([name, value]) => new Entry(name, value, kindOf(name), value.length, false),
)
/** What an index says that points before the first entry this decoder saw. */
export const UNKNOWN_ENTRY = new Entry(null, null, 0, 0, false)
