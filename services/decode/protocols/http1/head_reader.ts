/**
 * Reads the header block of one direction. Peers repeat their blocks, often byte for byte, nearly always most of their lines:
 * what is as in a block known before is compared, not read again.
 */
import { latin1 } from '../../../core/text.js'
import type { FieldName } from './field_names.js'
import { Head, noteHead, readField, readValue, rereadKinds } from './head.js'

const CR = 13
const LF = 10
/** Longer blocks are not remembered. */
const KNOWN_BYTES_MAX = 4096
const KNOWN_LINES_MAX = 64
/** A call into native code costs as much as comparing so many bytes here. */
const NATIVE_BYTES_MIN = 128
/** Blocks that all connections share, a power of two; a new one takes the place of another. */
const KNOWN_BLOCKS = 1024

/** A block without oddities, one field to a line, and what it says. Shared between connections and never changed. */
class KnownBlock {
  /** From its first field line to the empty line. */
  readonly bytes: Buffer
  readonly head: Head
  readonly names: readonly FieldName[]
  /** Of each field line: the offset of its value, and behind its LF. */
  readonly valueFroms: readonly number[]
  readonly lineEnds: readonly number[]
  /** The bytes as words that begin at 0, 1, 2 and 3, so that four are compared at once wherever a comparison begins. */
  readonly #words: readonly Int32Array[]

  constructor(bytes: Buffer, head: Head, names: readonly FieldName[], valueFroms: number[], lineEnds: number[]) {
    this.bytes = bytes
    this.head = head
    this.names = names
    this.valueFroms = valueFroms
    this.lineEnds = lineEnds
    this.#words = [0, 1, 2, 3].map((shift) => {
      const words = new Int32Array(Math.max(0, (bytes.length - shift) >> 2))
      for (let i = 0; i < words.length; i++) words[i] = word(bytes, shift + i * 4)
      return words
    })
  }

  /** The long way for short blocks: worth while where the answer is likely to be yes. */
  equals(bytes: Buffer, from: number, end: number): boolean {
    const size = this.bytes.length
    if (size < NATIVE_BYTES_MIN || end - from < size) return false
    return bytes.compare(this.bytes, 0, size, from, from + size) === 0
  }

  /** How many bytes from `at` on are those from `knownAt` on. */
  same(bytes: Buffer, at: number, end: number, knownAt: number): number {
    const known = this.bytes
    const words = this.#words[knownAt & 3]
    const most = Math.min(known.length - knownAt, end - at)
    const first = knownAt >> 2
    const count = most >> 2
    let i = 0
    while (i < count && word(bytes, at + i * 4) === words[first + i]) i++
    let same = i * 4
    while (same < most && bytes[at + same] === known[knownAt + same]) same++
    return same
  }
}

function word(bytes: Buffer, at: number): number {
  return bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)
}

/** Unusual blocks that are let pass: many connections have only one or two messages. */
const PATIENCE = 1

const knownBlocks = new Array<KnownBlock | null>(KNOWN_BLOCKS).fill(null)

/** Where connections begin: with the block that was new last in their direction. */
export class RecentBlock {
  block: KnownBlock | null = null
}

export class HeadReader {
  readonly #recent: RecentBlock
  /** The block to compare with, and the one before it: peers take turns between two kinds of message. */
  #block: KnownBlock | null
  #other: KnownBlock | null = null
  /** The last block was `#block`, byte for byte. */
  #repeats = true
  /** So many lines may differ without a search for a better block to compare with. */
  #usualChanges = 0
  /** Blocks in a row with more. */
  #unusual = 0
  /** Lines that differed from `#other` when `#block` was taken instead, to see whether it is better; 0 where it is settled. */
  #changesBefore = 0
  /** After `read`: size of the block with its empty line. */
  size = 0

  constructor(recent: RecentBlock) {
    this.#recent = recent
    this.#block = recent.block
  }

  /**
   * The block that begins at `from`; null if its end is not here. The answer is not to be changed, and holds until the next
   * call; the list of its fields stays.
   */
  read(bytes: Buffer, from: number, end: number): Head | null {
    const block = this.#block
    if (block !== null) {
      if (this.#repeats && block.equals(bytes, from, end)) {
        this.size = block.bytes.length
        this.#changesBefore = 0
        return block.head
      }
      const head = this.#compare(block, bytes, from, end)
      this.#repeats = head === block.head
      if (head !== null) return this.#isGood(changed.count) ? head : this.#takeOn(bytes, from, end)
      const second = this.#compareOther(bytes, from, end)
      if (second !== null) return second
    }
    const head = this.#readLines(bytes, from, end)
    this.#changesBefore = 0
    if (this.#block !== block) this.#recent.block = this.#block
    return head
  }

  /**
   * A block with a field that is new each time (a request id, a date) is no better to compare with than the one before; and one
   * that many connections share is in the processor's cache, one of its own is not.
   */
  #isGood(changes: number): boolean {
    const before = this.#changesBefore
    if (before > 0) {
      this.#changesBefore = 0
      this.#usualChanges = Math.min(changes, before)
      if (changes >= before) this.#block = this.#other
      return true
    }
    if (changes <= this.#usualChanges) {
      this.#unusual = 0
      return true
    }
    return this.#unusual++ < PATIENCE
  }

  /** The next comparison is with this block, on trial. */
  #takeOn(bytes: Buffer, from: number, end: number): Head | null {
    const block = this.#block
    const changes = changed.count
    const head = this.#readLines(bytes, from, end)
    if (this.#block !== block) this.#changesBefore = changes
    return head
  }

  #compareOther(bytes: Buffer, from: number, end: number): Head | null {
    const other = this.#other
    if (other === null) return null
    const head = this.#compare(other, bytes, from, end)
    if (head === null) return null
    this.#other = this.#block
    this.#block = other
    this.#usualChanges = changed.count
    this.#changesBefore = 0
    return head
  }

  /** What the bytes say where they have the lines of `block`, with other values in some; else null. */
  #compare(block: KnownBlock, bytes: Buffer, from: number, end: number): Head | null {
    const { bytes: known, lineEnds, valueFroms } = block
    const size = known.length
    let at = from
    let knownAt = 0
    let line = 0
    changed.count = 0
    for (;;) {
      const same = block.same(bytes, at, end, knownAt)
      at += same
      knownAt += same
      if (knownAt === size) break
      while (line < lineEnds.length && lineEnds[line] <= knownAt) line++
      // Another name, one more line or one less: or the block is not whole.
      if (at === end || line === lineEnds.length || knownAt < valueFroms[line]) return null
      const valueFrom = at - (knownAt - valueFroms[line])
      while (at < end && bytes[at] !== LF) at++
      // Whether the line is continued shows in the byte after it.
      if (at + 1 >= end || bytes[at - 1] !== CR || isBlank(bytes[at + 1])) return null
      const value = readValue(bytes, valueFrom, at - 1)
      if (value === null) return null
      changed.add(line, value)
      at++
      knownAt = lineEnds[line]
    }
    this.size = at - from
    return changed.count === 0 ? block.head : changed.headOf(block)
  }

  #readLines(bytes: Buffer, from: number, end: number): Head | null {
    const head = new Head()
    let at = from
    let clean = true
    let line = 0
    for (;;) {
      let i = at
      while (i < end && bytes[i] !== LF) i++
      if (i >= end) return null
      const to = i > at && bytes[i - 1] === CR ? i - 1 : i
      if (to === at) {
        this.size = i + 1 - from
        if (clean) this.#remember(bytes, from, head, line)
        return head
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
          folded += ` ${latin1(bytes, next, foldEnd).trim()}`
          next = foldEnd + 1
        }
      }
      const name = readField(head, bytes, at, to, folded)
      if (name === null) clean = false
      else {
        readNames[line] = name
        readValueFroms[line] = head.valueFrom - from
        readEnds[line] = next - from
      }
      at = next
      line += 1
    }
  }

  #remember(bytes: Buffer, from: number, head: Head, lines: number): void {
    const { size } = this
    if (size > KNOWN_BYTES_MAX || lines > KNOWN_LINES_MAX || head.anomalies.length > 0 || head.truncated) return
    const at = hashOf(bytes, from, from + size) & (KNOWN_BLOCKS - 1)
    let block = knownBlocks[at]
    if (block === null || bytes.compare(block.bytes, 0, block.bytes.length, from, from + size) !== 0) {
      const copy = Buffer.from(bytes.subarray(from, from + size))
      const [names, valueFroms, ends] = [
        readNames.slice(0, lines),
        readValueFroms.slice(0, lines),
        readEnds.slice(0, lines),
      ]
      block = new KnownBlock(copy, head, names, valueFroms, ends)
      knownBlocks[at] = block
    }
    this.#other = this.#block
    this.#block = block
    this.#usualChanges = 0
    this.#unusual = 0
  }
}

/** What differs from a known block: one for all, as is the head that is made of it. */
class Changes {
  count = 0
  readonly #lines: number[] = []
  readonly #values: string[] = []
  readonly #head = new Head()

  add(line: number, value: string): void {
    this.#lines[this.count] = line
    this.#values[this.count] = value
    this.count += 1
  }

  headOf(block: KnownBlock): Head {
    const head = this.#head
    head.copy(block.head)
    head.fields = block.head.fields.slice()
    let kinds = 0
    for (let i = 0; i < this.count; i++) {
      const line = this.#lines[i]
      head.fields[line * 2 + 1] = this.#values[i]
      kinds |= 1 << block.names[line].kind
    }
    rereadKinds(head, block.names, kinds)
    return head
  }
}

const changed = new Changes()

/** Of the block being read: names of its field lines, where their values begin and where they end. */
const readNames: FieldName[] = []
const readValueFroms: number[] = []
const readEnds: number[] = []

function hashOf(bytes: Buffer, from: number, to: number): number {
  let hash = to - from
  for (let i = from; i < to; i++) hash = (Math.imul(hash, 31) + bytes[i]) | 0
  return hash ^ (hash >>> 15)
}

function isBlank(byte: number): boolean {
  return byte === 32 || byte === 9
}
