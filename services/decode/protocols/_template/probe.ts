/** Is it TEMPLATE, which end speaks, and where does the next line of a direction begin. */
import type { Cursor } from '../../../core/cursor.js'
import { CERTAIN, MORE, NO, UNDECIDED, type Verdict } from '../../../core/protocol.js'
import { lineSize, MAGIC, startsWithMagic, wordsOf } from './lines.js'

export function probeHead(head: Cursor): Verdict {
  const { bytes, pos, length } = head
  const seen = Math.min(length, MAGIC.length)
  if (!bytes.subarray(pos, pos + seen).equals(MAGIC.subarray(0, seen))) return NO
  return seen < MAGIC.length ? UNDECIDED : CERTAIN
}

export function isAnswer(head: Cursor): boolean {
  const size = lineSize(head)
  const words = wordsOf(head.bytes, head.pos, size === MORE ? head.end : head.pos + size - 1)
  return words !== null && (words[0] === 'OK' || words[0] === 'ERR')
}

/** Offset from `head.pos` of the next line that begins with the magic; -1 if there is none. */
export function findLine(head: Cursor, answers: boolean): number {
  const { bytes, pos, end } = head
  let from = pos
  for (;;) {
    const at = bytes.indexOf(MAGIC, from)
    if (at < 0 || at >= end) {
      // All but the last bytes, which may be the start of the magic, need not be looked at again.
      head.searchedBytes = Math.max(0, end - pos - MAGIC.length + 1)
      return -1
    }
    const words = startsWithMagic(bytes, at, end)
      ? bytes.toString('latin1', at + MAGIC.length, end).split(/[ \n]/, 1)
      : []
    if ((words[0] === 'OK' || words[0] === 'ERR') === answers) return at - pos
    from = at + 1
  }
}
