/** Header blocks that lean on the dynamic table as much as they can (RFC 7541): who lost the table reads nothing of them. */

const TABLE_BYTES_MAX = 4096
/** What an entry counts for besides its texts (section 4.1), and the entries of the static table. */
const ENTRY_BYTES = 32
const STATIC_ENTRIES = 61
/** Those of the static table that are used, by what they say or, with `name:`, by their name only (appendix A). */
const STATIC = new Map([
  [':method: POST', 3],
  [':scheme: http', 6],
  [':status: 200', 8],
  ['name::authority', 1],
  ['name::path', 4],
  ['name:content-type', 31],
  ['name:user-agent', 58],
])

export type Field = readonly [name: string, value: string]

export class HpackWriter {
  /** The newest first. */
  #entries: Field[] = []
  #bytes = 0

  block(fields: readonly Field[]): Buffer {
    return Buffer.concat(fields.map((field) => this.#field(field)))
  }

  #field([name, value]: Field): Buffer {
    const known = STATIC.get(`${name}: ${value}`)
    if (known !== undefined) return integer(0x80, 7, known)
    const at = this.#entries.findIndex((entry) => entry[0] === name && entry[1] === value)
    if (at >= 0) return integer(0x80, 7, STATIC_ENTRIES + 1 + at)
    const sameName = this.#entries.findIndex((entry) => entry[0] === name)
    const index = STATIC.get(`name:${name}`) ?? (sameName < 0 ? 0 : STATIC_ENTRIES + 1 + sameName)
    this.#add([name, value])
    return Buffer.concat([integer(0x40, 6, index), ...(index === 0 ? [text(name)] : []), text(value)])
  }

  #add(field: Field): void {
    this.#entries.unshift(field)
    this.#bytes += field[0].length + field[1].length + ENTRY_BYTES
    while (this.#bytes > TABLE_BYTES_MAX) {
      const [name, value] = this.#entries.pop() as Field
      this.#bytes -= name.length + value.length + ENTRY_BYTES
    }
  }
}

/** Section 5.1: `bits` of the first byte are the number's, the rest of it is `first`. */
function integer(first: number, bits: number, value: number): Buffer {
  const most = (1 << bits) - 1
  if (value < most) return Buffer.from([first | value])
  const bytes = [first | most]
  let rest = value - most
  for (; rest >= 0x80; rest >>= 7) bytes.push((rest & 0x7f) | 0x80)
  return Buffer.from([...bytes, rest])
}

/** Section 5.2, without Huffman's code. */
function text(value: string): Buffer {
  return Buffer.concat([integer(0, 7, value.length), Buffer.from(value, 'latin1')])
}
