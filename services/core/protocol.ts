/**
 * What a protocol is to the host. The host owns bytes, order, gaps, limits and time; a decoder owns protocol state
 * only. A decoder never awaits, reads a clock, logs, or throws for bad input.
 */
import type { Cursor } from './cursor.js'
import type { Exchange } from './exchange.js'
import type { Direction, Transport } from './segment.js'
import type { StateReader, StateWriter } from './state.js'

/** A probe's answer: NO, MORE (undecided on these bytes), or a confidence from 1 to CERTAIN. */
export type Verdict = number
export const NO: Verdict = 0
export const UNDECIDED: Verdict = -1
export const CERTAIN: Verdict = 100

/** `Decoder.parse` answers bytes consumed (> 0) or one of these. */
export const MORE = 0
/** These bytes are not this protocol; the host looks for the next plausible start with `resync`. */
export const BAD = -1
/** What follows, in both directions, is another protocol (HTTP Upgrade, CONNECT, STARTTLS): the host probes again. */
export const SWITCH = -2
/** "Not my protocol after all": the host forgets this decoder and probes once more from here. */
export const WITHDRAW = -3

/** What may stay in clear of a flow of this protocol where policy keeps metadata only. */
export interface Privacy {
  /** `resource` with values taken out and its shape kept: `/a?user=***`, `SELECT * FROM t WHERE id = ?`. */
  maskResource(resource: string): string
  /** Names in `attrs` that never hold data of the application; the others are dropped. */
  readonly attrsKept: ReadonlySet<string>
}

export interface Protocol {
  /** Metric label, golden folder, column value. */
  readonly name: string
  readonly transports: readonly Transport[]
  /** What it carries stays unread: its connections count as `encrypted` although they have flows. */
  readonly encrypted?: boolean
  /** By the `protocol` column of the flows this decoder makes: usually one, `http2` makes `grpc` too. */
  readonly privacy: Readonly<Record<string, Privacy>>
  /**
   * Pure. `head` holds the first bytes of `direction`, at most PROBE_BYTES_MAX. A connection may be joined mid-way and
   * client and server may be turned; `direction` is then the best guess.
   */
  probe(head: Cursor, direction: Direction): Verdict
  /**
   * Which direction a client speaks in, judged by the same head: `head` was seen in `direction`; true if these bytes can
   * only come from the other end. The host asks where roles were guessed.
   */
  turned(head: Cursor, direction: Direction): boolean
  /**
   * Can only this protocol begin with these bytes, whatever came before? Asked of each segment of a connection that nobody
   * understands: many protocols go on in TLS (STARTTLS). Cheap, and stricter than a probe; left out = never.
   */
  readonly begins?: (segment: Buffer) => boolean
  /** `begin` tells how the connection came to this protocol. */
  open(out: ExchangeSink, begin: Begin): Decoder
}

export interface Begin {
  /** On `udp` each call of `parse` is given one datagram, whole: the cursor is `ended`. */
  readonly transport: Transport
  /** The protocol spoken before, where that one handed over; otherwise null. */
  readonly handover: Handover | null
}

/** What a decoder that answers SWITCH knows of what follows. */
export interface Handover {
  /** Name of the protocol that follows, which is then opened without a probe; `''` = nobody said, the host probes. */
  readonly protocol: string
  /** The exchange that asked for it (already handed over, not to be changed): its host, resource and trace go on to hold. */
  readonly exchange: Exchange
}

export interface Decoder {
  /**
   * At most one frame, one part of a long body, or a run of frames that are only counted (rows of a result). Bytes consumed
   * (> 0), MORE, BAD, SWITCH or WITHDRAW.
   */
  parse(direction: Direction, input: Cursor): number
  /** Offset from `input.pos` of the next plausible frame start after a gap or BAD; -1 if none is in sight. */
  resync(direction: Direction, input: Cursor): number
  /**
   * `sizeBytes` are missing before the next bytes of this direction, 0 if nobody knows how many (joined mid-way, or given
   * up at a limit); `timeUs` is the time of what follows. True if the decoder still knows where it is (the gap lay inside
   * a body of known length); false makes the host call `resync`.
   */
  gap(direction: Direction, sizeBytes: number, timeUs: number): boolean
  /** This direction will say nothing more. */
  end(direction: Direction, timeUs: number): void
  /** Hand over what is still open: unanswered requests, unfinished bodies. */
  close(reason: CloseReason, timeUs: number): void
  /** Asked once `parse` has answered SWITCH. Decoders that never do leave it out. */
  handover?(): Handover | null
  /** Protocol state for a checkpoint, versioned. */
  save(out: StateWriter): void
  /** False if the state cannot be read: the host treats the connection as joined mid-way. */
  restore(state: StateReader): boolean
}

/** `closed` both ends said so; `reset`; `idle` too long silent; `evicted` our limit; `switched` protocol; `input_end`. */
export type CloseReason = 'closed' | 'reset' | 'idle' | 'evicted' | 'switched' | 'input_end'

export interface ExchangeSink {
  /** A finished exchange. The host owns the object from here on. */
  exchange(exchange: Exchange): void
  /** True where nobody will look at `attrs`: they need not be made. */
  readonly withoutAttrs?: boolean
}
