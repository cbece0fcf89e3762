/**
 * Reads the header block of one direction. Peers on a connection repeat their blocks, often byte for byte, nearly always
 * most of their lines: what is as last time is compared, not read again.
 */
import type { FieldName } from './field_names.js'
import { addField, Head, noteHead, readField } from './head.js'

const CR = 13
const LF = 10
/** Longer blocks are not remembered. */
const MEMO_BYTES_MAX = 4096
const MEMO_LINES_MAX = 64

export class HeadReader {
  /** The last block, from its first field line to the empty line. */
  #last: Buffer = NOTHING
  #lastSize = 0
  #lastHead: Head | null = null
  /** Of its field lines: the offset behind the LF, name and value; the first `#lines` count. */
  readonly #lineEnds: number[] = []
  readonly #lineNames: FieldName[] = []
  readonly #lineValues: string[] = []
  #lines = 0
  /** The last block read was byte for byte the one before. */
  #repeats = true
  /** Lines that differed when the block after the remembered one was read; -1 until then. */
  #usualChanges = -1
  /** After `read`: size of the block with its empty line. */
  size = 0

  /** The block that begins at `from`; null if its end is not here. The answer may be shared between messages: it is never changed. */
  read(bytes: Buffer, from: number, end: number): Head | null {
    const size = this.#lastSize
    if (this.#repeats && size > 0 && size <= end - from) {
      if (this.#asLast(bytes, from)) {
        this.size = size
        return this.#lastHead
      }
    }
    return this.#readLines(bytes, from, end)
  }

  /** A loop: a call into native code costs more than a few hundred bytes do. */
  #asLast(bytes: Buffer, from: number): boolean {
    const last = this.#last
    const size = this.#lastSize
    let i = 0
    while (i < size && bytes[from + i] === last[i]) i++
    return i === size
  }

  #readLines(bytes: Buffer, from: number, end: number): Head | null {
    const head = new Head()
    const last = this.#last
    const known = this.#lines
    let line = 0
    let lastAt = 0
    let at = from
    let clean = true
    let changes = 0
    for (;;) {
      let i = at
      let same = false
      if (line < known) {
        const lastEnd = this.#lineEnds[line]
        let j = lastAt
        while (j < lastEnd && i < end && bytes[i] === last[j]) {
          i++
          j++
        }
        same = j === lastEnd
        lastAt = lastEnd
      }
      if (same && i < end && !isBlank(bytes[i])) {
        const name = this.#lineNames[line]
        addField(head, name, this.#lineValues[line])
        readNames[line] = name
        readEnds[line] = i - from
        at = i
        line += 1
        continue
      }
      if (same) i = at
      while (i < end && bytes[i] !== LF) i++
      if (i >= end) return null
      const to = i > at && bytes[i - 1] === CR ? i - 1 : i
      if (to === at) {
        this.size = i + 1 - from
        return this.#readWhole(bytes, from, head, clean, line, changes)
      }
      // Whether the line is continued shows in the byte after it.
      if (i + 1 >= end) return null
      if (to === i) noteHead(head, 'http1.bare_lf')
      let next = i + 1
      let folded = ''
      if (isBlank(bytes[next])) {
        clean = false
        noteHead(head, 'http1.obsolete_folding')
        while (next < end && isBlank(bytes[next])) {
          let foldEnd = next
          while (foldEnd < end && bytes[foldEnd] !== LF) foldEnd++
          if (foldEnd + 1 >= end) return null
          folded += ` ${bytes.toString('latin1', next, foldEnd).trim()}`
          next = foldEnd + 1
        }
      }
      const name = readField(head, bytes, at, to, folded)
      if (name === null) clean = false
      else {
        readNames[line] = name
        readEnds[line] = next - from
      }
      changes += 1
      at = next
      line += 1
    }
  }

  #readWhole(bytes: Buffer, from: number, head: Head, clean: boolean, lines: number, changes: number): Head {
    if (changes === 0 && lines === this.#lines && this.#lastHead !== null && this.size === this.#lastSize) {
      this.#repeats = true
      return this.#lastHead
    }
    this.#repeats = false
    // A block with one field that is new each time (a request id, a date) is no better to compare with than the one before.
    if (lines === this.#lines && changes > 0) {
      if (this.#usualChanges < 0) this.#usualChanges = changes
      if (changes <= this.#usualChanges) return head
    }
    if (clean) this.#remember(bytes, from, head, lines)
    return head
  }

  /** Only blocks without oddities: one line, one field. */
  #remember(bytes: Buffer, from: number, head: Head, lines: number): void {
    const size = this.size
    if (size > MEMO_BYTES_MAX || lines > MEMO_LINES_MAX || head.anomalies.length > 0 || head.truncated) return
    if (this.#last.length < size) this.#last = Buffer.allocUnsafeSlow(Math.max(256, 1 << (32 - Math.clz32(size - 1))))
    bytes.copy(this.#last, 0, from, from + size)
    this.#lastSize = size
    this.#lastHead = head
    this.#lines = lines
    this.#usualChanges = -1
    for (let line = 0; line < lines; line++) {
      this.#lineEnds[line] = readEnds[line]
      this.#lineNames[line] = readNames[line]
      this.#lineValues[line] = head.fields[line * 2 + 1]
    }
  }
}

/** Of the block being read: names of its field lines and where they end. */
const readNames: FieldName[] = []
const readEnds: number[] = []
const NOTHING: Buffer = Buffer.alloc(0)

function isBlank(byte: number): boolean {
  return byte === 32 || byte === 9
}
