/** Headers as JSON: peers repeat them, whole or but for a few values. */
import type { HeaderList } from '../exchange.js'
import { type JsonBytes, Piece } from './json_bytes.js'
import { kept } from './kept_part.js'

/** More values than these are written one by one. */
const VARYING_MAX = 6
/** Bits of a mask. */
const PAIRS_MAX = 31
export const NO_FIELDS = Piece.of('{}')

export class Headers {
  #list: HeaderList = []
  /** The list as bytes, once it has come twice in a row: decoders hand out the same list for the same headers. */
  #whole: Piece | null = null
  /** Values, by bit, that differed from list to list; what stands before and behind them once they did so twice. */
  #varying = 0
  #between: Piece[] | null = null

  write(list: HeaderList, out: JsonBytes): void {
    if (list.length === 0) return out.raw(NO_FIELDS)
    if (list === this.#list) return this.#again(list, out)
    this.#whole = null
    const differing = this.#differing(list)
    this.#list = list
    const varying = differing < 0 ? 0 : this.#varying | differing
    if (varying !== this.#varying) {
      this.#varying = bitCount(varying) > VARYING_MAX ? 0 : varying
      this.#between = null
    } else if (varying !== 0) {
      this.#between ??= piecesOf(list, varying)
      return this.#fill(this.#between, list, out)
    }
    out.pairs(list)
  }

  #again(list: HeaderList, out: JsonBytes): void {
    if (this.#whole !== null) return out.raw(this.#whole)
    const from = out.size
    out.pairs(list)
    this.#whole = kept.piece(out, from)
  }

  /** By bit, which values are not those of the last list; -1 where names are not. */
  #differing(list: HeaderList): number {
    const last = this.#list
    if (last.length !== list.length || list.length > PAIRS_MAX * 2) return -1
    let differing = 0
    for (let i = 0; i < list.length; i += 2) {
      if (list[i] !== last[i]) return -1
      if (list[i + 1] !== last[i + 1]) differing |= 1 << (i >> 1)
    }
    return differing
  }

  #fill(between: readonly Piece[], list: HeaderList, out: JsonBytes): void {
    let next = 0
    for (let bits = this.#varying, at = 1; bits !== 0; bits >>>= 1, at += 2) {
      if ((bits & 1) === 0) continue
      out.raw(between[next++])
      out.text(list[at])
    }
    out.raw(between[next])
  }
}

/** The JSON of `list` without the values of these bits. */
export function piecesOf(list: HeaderList, varying: number): Piece[] {
  const pieces: Piece[] = []
  let text = ''
  for (let i = 0; i < list.length; i += 2) {
    text += `${i === 0 ? '{' : ','}${JSON.stringify(list[i])}:`
    if ((varying & (1 << (i >> 1))) === 0) text += JSON.stringify(list[i + 1])
    else {
      pieces.push(Piece.of(text))
      text = ''
    }
  }
  pieces.push(Piece.of(`${text}}`))
  for (const piece of pieces) kept.bytes += piece.size
  return pieces
}

function bitCount(bits: number): number {
  let count = 0
  for (let rest = bits; rest !== 0; rest &= rest - 1) count += 1
  return count
}
