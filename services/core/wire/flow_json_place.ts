/**
 * What all flows of one connection say of it, kept as bytes for those that have many. There are places for so many
 * connections only, one per remainder of their numbers, so that the bytes stay few and in the processor's cache; a
 * connection that shares its place takes turns, and then its bytes are written anew each time.
 */
import type { Flow, FlowOrigin } from '../flow.js'
import { KEYS } from './flow_json_keys.js'
import type { Shape } from './flow_json_shape.js'
import { type JsonBytes, Piece } from './json_bytes.js'
import { kept } from './kept_part.js'

/** A power of two. */
const PLACES = 1024

const SEQ = Piece.of('","exchange_seq":')

class Place {
  #origin: FlowOrigin | null = null
  #shape: Shape | null = null
  /** From `cluster` to the name of `exchange_seq`, and from `client_ip` to `server_port`, once it held twice. */
  #before: Piece | null = null
  #behind: Piece | null = null

  write(flow: Flow, shape: Shape, origin: FlowOrigin, out: JsonBytes): void {
    const same = origin === this.#origin && shape === this.#shape
    if (same && this.#behind !== null) {
      out.raw(this.#before as Piece)
      out.number(flow.exchange_seq)
      return out.raw(this.#behind)
    }
    const from = out.size
    writeConnection(flow, shape, out)
    this.#before = same ? kept.piece(out, from) : null
    out.number(flow.exchange_seq)
    const behind = out.size
    writeEnds(flow, out)
    this.#behind = this.#before !== null ? kept.piece(out, behind) : null
    this.#origin = origin
    this.#shape = shape
  }
}

let places: Place[] = []

/** From `cluster` to `server_port`. */
export function writePlace(flow: Flow, shape: Shape, origin: FlowOrigin | null, out: JsonBytes): void {
  if (origin === null) {
    writeConnection(flow, shape, out)
    out.number(flow.exchange_seq)
    return writeEnds(flow, out)
  }
  if (places.length === 0) places = Array.from({ length: PLACES }, () => new Place())
  places[origin.number & (PLACES - 1)].write(flow, shape, origin, out)
}

export function forgetPlaces(): void {
  places = []
}

function writeConnection(flow: Flow, shape: Shape, out: JsonBytes): void {
  out.raw(shape.where)
  out.digits(flow.conn_id)
  out.raw(SEQ)
}

function writeEnds(flow: Flow, out: JsonBytes): void {
  out.raw(KEYS.client_ip)
  out.text(flow.client_ip)
  out.raw(KEYS.client_port)
  out.number(flow.client_port)
  out.raw(KEYS.server_ip)
  out.text(flow.server_ip)
  out.raw(KEYS.server_port)
  out.number(flow.server_port)
}
