/** What the client has sent and the server has not answered yet, in order. */

export const QUERY = 1
export const PARSE = 2
export const BIND = 3
/** Of a statement; a described portal is executed next and needs no entry of its own. */
export const DESCRIBE = 4
export const EXECUTE = 5
export const CLOSE = 6
export const SYNC = 7
export const FUNCTION = 8
/** Copied data up to its end: no answer of its own, counted with the statement that asked for it. */
export const COPY = 9
export const STARTUP = 10
export const SSL = 11
export const GSSENC = 12
/** Here bytes of the client were lost. */
export const LOST = 13

export class Op {
  readonly kind: number
  readonly startUs: number
  endUs: number
  /** Statement text of QUERY and PARSE. */
  text = ''
  /** Statement name of PARSE, BIND, DESCRIBE and CLOSE; portal name of EXECUTE. */
  name = ''
  /** Portal name of BIND; `P` where CLOSE closes a portal. */
  portal = ''
  /** Type OIDs that PARSE gives, with commas between. */
  types = ''
  /** Values of BIND as text, or as bytes in latin1 where `formats` has a 1; null = NULL. */
  values: (string | null)[] = NO_VALUES
  formats = ''
  /** Statement text, parameter values and copied data in bytes. */
  bytes = 0
  copyRows = 0
  copyEnded = false
  /** It ended with CopyFail. */
  copyFailed = false
  /** The server took data for it. */
  copies = false
  gaps = 0
  truncated = false
  /** Its content is not known: it was lost, or there was no room for it. */
  unknown = false

  constructor(kind: number, startUs: number) {
    this.kind = kind
    this.startUs = startUs
    this.endUs = startUs
  }
}

export const NO_VALUES: (string | null)[] = []
Object.freeze(NO_VALUES)

/** Of these the server answers with ReadyForQuery, and begins anew whatever went wrong before. */
export function endsUnit(kind: number): boolean {
  return kind === SYNC || kind === QUERY || kind === FUNCTION || kind === STARTUP || kind === SSL || kind === GSSENC
}

/** These become flows. */
export function isFlow(kind: number): boolean {
  return kind === EXECUTE || kind === QUERY || kind === FUNCTION || kind === STARTUP || kind === SSL || kind === GSSENC
}
