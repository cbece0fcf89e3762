/** Attributes as JSON: flows that ask for the same have the same ones, and most with the same values. */
import { NO_FIELDS, piecesOf } from './flow_json_headers.js'
import type { JsonBytes, Piece } from './json_bytes.js'

/** Bits of a mask. */
const ATTRS_MAX = 31
/** A longer text is not kept as bytes: it is written anew each time. */
const KEPT_CHARS_MAX = 512

type Attrs = Readonly<Record<string, string>>

export class Attributes {
  /** Names and values in turn, of the flow before. */
  #pairs: string[] = []
  /** Values, by bit, that differed from flow to flow; what stands before and behind them once it held twice. */
  #varying = 0
  #held = false
  #between: readonly Piece[] | null = null

  write(attrs: Attrs, out: JsonBytes): void {
    const pairs = this.#pairs
    const varying = this.#varying
    let at = 0
    let differing = 0
    for (const name in attrs) {
      if (pairs[at] !== name) return this.#writeOther(attrs, out)
      const value = attrs[name]
      const bit = 1 << (at >> 1)
      if ((varying & bit) !== 0) pairs[at + 1] = value
      else if (pairs[at + 1] !== value) {
        pairs[at + 1] = value
        differing |= bit
      }
      at += 2
    }
    if (at === 0) return out.raw(NO_FIELDS)
    if (at !== pairs.length) return this.#writeOther(attrs, out)
    if (differing !== 0) this.#vary(differing)
    else if (this.#held) return this.#fill(out)
    else this.#held = true
    out.map(attrs)
  }

  #vary(more: number): void {
    this.#varying |= more
    this.#held = false
    this.#between = null
  }

  #fill(out: JsonBytes): void {
    const pairs = this.#pairs
    this.#between ??= piecesOf(pairs, this.#varying)
    const between = this.#between
    let next = 0
    for (let bits = this.#varying, at = 1; bits !== 0; bits >>>= 1, at += 2) {
      if ((bits & 1) === 0) continue
      out.raw(between[next++])
      out.text(pairs[at])
    }
    out.raw(between[next])
  }

  /** Other names than before. */
  #writeOther(attrs: Attrs, out: JsonBytes): void {
    this.#pairs = []
    this.#varying = 0
    this.#held = false
    this.#between = null
    const names = Object.keys(attrs)
    if (names.length <= ATTRS_MAX) {
      for (const [i, name] of names.entries()) {
        this.#pairs.push(name, attrs[name])
        if (attrs[name].length > KEPT_CHARS_MAX) this.#varying |= 1 << i
      }
    }
    out.map(attrs)
  }
}
