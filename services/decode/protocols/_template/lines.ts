/** The grammar of TEMPLATE: lines of words. */
import type { Cursor } from '../../../core/cursor.js'
import { MORE } from '../../../core/protocol.js'

export const MAGIC = Buffer.from('TEMPLATE ')
/** Longer lines are an attack: this much of a line may wait for its rest. */
export const LINE_BYTES_MAX = 4096

const LF = 10

/** Bytes of the first line with its line end; MORE if that is not here. */
export function lineSize({ bytes, pos, end, searchedBytes }: Cursor): number {
  const found = bytes.indexOf(LF, pos + searchedBytes)
  return found < 0 || found >= end ? MORE : found + 1 - pos
}

/** The words behind the magic; null if the line does not begin with it. */
export function wordsOf(bytes: Buffer, from: number, to: number): string[] | null {
  if (!startsWithMagic(bytes, from, to)) return null
  return bytes.toString('utf8', from + MAGIC.length, to).split(' ')
}

export function startsWithMagic(bytes: Buffer, from: number, to: number): boolean {
  return to - from >= MAGIC.length && MAGIC.equals(bytes.subarray(from, from + MAGIC.length))
}
