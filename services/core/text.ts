/** Bytes to text where it is done for every exchange. */

/** What `bytes.toString('latin1', from, to)` gives: the same call without the choice of an encoding. */
export function latin1(bytes: Buffer, from: number, to: number): string {
  return to <= from ? '' : latin1Slice.call(bytes, from, to)
}

/** Likewise `bytes.toString('utf8', from, to)`. */
export function utf8(bytes: Buffer, from: number, to: number): string {
  return to <= from ? '' : utf8Slice.call(bytes, from, to)
}

/**
 * Methods that Node's buffers have beside the documented ones, and that its types leave out. Looked up once: buffers have so
 * many methods that to find one is a search in a table each time.
 */
interface Slices {
  latin1Slice(this: Buffer, from: number, to: number): string
  utf8Slice(this: Buffer, from: number, to: number): string
}
const { latin1Slice, utf8Slice } = Buffer.prototype as unknown as Slices

const WORDS = 1024
const WORD_BYTES_MAX = 24
const words = new Array<string>(WORDS).fill('')

/**
 * As `utf8`, for what comes again and again: names of commands, of statements, of columns. The same few short texts are made
 * once and handed out again; any other is made as it comes and takes the place of one.
 */
export function word(bytes: Buffer, from: number, to: number): string {
  const size = to - from
  if (size <= 0 || size > WORD_BYTES_MAX) return utf8(bytes, from, to)
  let hash = size
  let all = 0
  for (let i = from; i < to; i++) {
    const byte = bytes[i]
    all |= byte
    hash = (Math.imul(hash, 31) + byte) | 0
  }
  // Bytes beyond ASCII are not the characters of the text.
  if (all > 127) return utf8(bytes, from, to)
  const at = (hash ^ (hash >>> 10)) & (WORDS - 1)
  const known = words[at]
  if (isText(known, bytes, from, size)) return known
  const text = latin1(bytes, from, to)
  words[at] = text
  return text
}

/** Are these bytes the characters of `text`? */
export function isText(text: string, bytes: Buffer, from: number, size: number): boolean {
  if (text.length !== size) return false
  for (let i = 0; i < size; i++) if (text.charCodeAt(i) !== bytes[from + i]) return false
  return true
}
