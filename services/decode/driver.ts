/**
 * Drives the decoder of a connection with bytes in order: finds the protocol, calls the decoder frame by frame, tells it of
 * gaps and ends, looks for the next message after a loss. One fence per connection: what a decoder throws costs that
 * connection only.
 */
import type { Exchange } from '../core/exchange.js'
import {
  BAD,
  type CloseReason,
  type ExchangeSink,
  type Handover,
  MORE,
  type Protocol,
  SWITCH,
  WITHDRAW,
} from '../core/protocol.js'
import type { UndecodedReason } from '../core/rows.js'
import { TO_SERVER } from '../core/segment.js'
import { StateReader } from '../core/state.js'
import type { Accounting, SkipReason } from './accounting.js'
import type { Connection } from './connection.js'
import { type Detection, detect } from './detection.js'
import * as limits from './limits.js'
import { proxyHeaderBytes, UNDECIDED_HEADER } from './proxy_header.js'
import type { Half } from './reassembler.js'

export type OnDecoderFailure = (connection: Connection, error: unknown) => void

export class Driver {
  readonly #protocols: readonly Protocol[]
  readonly #accounting: Accounting
  readonly #onFailure: OnDecoderFailure
  /** Exchanges finished by the last call, the first `finishedCount`: to empty a list costs more than to fill it. */
  readonly finished: Exchange[] = []
  finishedCount = 0
  readonly #sink: ExchangeSink

  constructor(
    protocols: readonly Protocol[],
    accounting: Accounting,
    onFailure: OnDecoderFailure,
    withoutAttrs = false,
  ) {
    this.#protocols = protocols
    this.#accounting = accounting
    this.#onFailure = onFailure
    this.#sink = { exchange: (exchange) => (this.finished[this.finishedCount++] = exchange), withoutAttrs }
  }

  /** The next bytes of a direction. */
  bytes(connection: Connection, half: Half, payload: Buffer, timeUs: number): void {
    try {
      this.#bytes(connection, half, payload, timeUs)
    } catch (error) {
      this.fail(connection, error)
    }
  }

  /** `size` bytes are missing; `timeUs` is the time of what follows them. */
  gap(connection: Connection, half: Half, size: number, timeUs: number): void {
    half.position += size
    half.passedBytes += size
    half.gapBytes += size
    this.#accounting.gapBytes += size
    try {
      this.#gap(connection, half, size, timeUs)
    } catch (error) {
      this.fail(connection, error)
    }
  }

  /** The direction says nothing more. */
  end(connection: Connection, half: Half, timeUs: number): void {
    half.ended = true
    try {
      this.#end(connection, half, timeUs)
    } catch (error) {
      this.fail(connection, error)
    }
  }

  /** The connection is over: what is open is handed over. */
  close(connection: Connection, reason: CloseReason): void {
    try {
      for (const half of [connection.toServer, connection.toClient]) {
        if (half.claimed && this.#probing(connection)) this.#probe(connection, half, true)
        if (!half.ended) this.#flush(connection, half)
      }
      connection.decoder?.close(reason, connection.lastUs)
    } catch (error) {
      this.fail(connection, error)
    }
    connection.decoder = null
    for (const half of [connection.toServer, connection.toClient]) {
      this.#skip(half, half.cursor.length, connection.stage === 'decoding' ? 'cut' : 'unrecognised')
      half.release()
    }
  }

  /** Its bytes are, or may be, captured as plaintext too, and decoded there: no flow is made of what was seen here. */
  forget(connection: Connection, reason: 'muted' | 'encrypted'): void {
    connection.decoder = null
    this.#giveUp(connection, reason)
  }

  #bytes(connection: Connection, half: Half, payload: Buffer, timeUs: number): void {
    if (this.#beginsNow(connection, half, payload)) this.#startOver(connection)
    if (connection.stage === 'undecoded' || half.ended) {
      half.skippedBytes += payload.length
      this.#accounting.skippedBytes[half.ended ? 'after_end' : 'undecoded'] += payload.length
      return
    }
    // A datagram is a message: nothing of the one before belongs to it.
    if (connection.info.transport === 'udp' && half.cursor.length > 0) this.#skip(half, half.cursor.length, 'cut')
    half.append(payload, timeUs)
    if (connection.info.transport === 'udp') half.cursor.ended = true
    if (connection.stage === 'probing') this.#probeEither(connection, half)
    else this.#parse(connection, half)
    half.settle()
  }

  /** Nobody understood what was said so far, and these bytes are the beginning of something. */
  #beginsNow({ stage, reason, info }: Connection, half: Half, payload: Buffer): boolean {
    const givenUp = stage === 'undecoded' && (reason === 'unknown_protocol' || reason === 'withdrawn')
    const inVain = stage === 'probing' && (half.refused || half.cursor.length > 0)
    if (half.ended || !(givenUp || inVain)) return false
    return this.#protocols.some(
      ({ begins, transports }) => begins?.(payload) === true && transports.includes(info.transport),
    )
  }

  /** As if the connection began here. */
  #startOver(connection: Connection): void {
    connection.stage = 'probing'
    connection.reason = ''
    connection.midstream = false
    for (const half of [connection.toServer, connection.toClient]) {
      this.#skip(half, half.cursor.length, 'unrecognised')
      half.settle()
      half.broken = false
      half.refused = false
      half.claimed = false
      half.undecided = false
      half.probes = 0
    }
  }

  /**
   * A weak claim on what the other end said before waited for more of it; instead of that comes the answer. If the answer
   * does not say by itself what it is, the claim holds.
   */
  #probeEither(connection: Connection, half: Half): void {
    const other = connection.other(half)
    if (other.claimed && this.#detect(connection, half, false).kind !== 'found') {
      this.#probe(connection, other, true)
      other.settle()
      if (!this.#probing(connection)) return
    }
    this.#probe(connection, half)
  }

  #detect(connection: Connection, half: Half, final: boolean): Detection {
    const { cursor } = half
    cursor.midway = connection.midstream || half.broken
    const direction = connection.direction(half)
    return detect(this.#protocols, connection.info.transport, cursor, direction, connection.mayTurn, final)
  }

  #gap(connection: Connection, half: Half, size: number, timeUs: number): void {
    if (half.claimed && this.#probing(connection)) this.#probe(connection, half, true)
    half.undecided = false
    this.#flush(connection, half)
    const left = half.cursor.length
    this.#skip(half, left, 'cut')
    half.settle()
    // A switch is answered with the next bytes, and those are missing: the gap is of what follows.
    if (connection.decoder?.handover?.() != null) this.#probeAgain(connection, SWITCH)
    half.broken = true
    const known = connection.decoder?.gap(connection.direction(half), size + left, timeUs) ?? false
    if (!known || left > 0) half.syncing = true
    // Whatever waited for this direction does not get it.
    this.#wake(connection, connection.other(half))
    // The message that was cut may have been the one that asks for it.
    if (connection.decoder?.handover?.() != null) this.#probeAgain(connection, SWITCH)
  }

  #end(connection: Connection, half: Half, timeUs: number): void {
    if (connection.stage === 'probing' && half.cursor.length > 0) this.#probe(connection, half)
    if (!half.undecided) this.#saidAll(connection, half, timeUs)
  }

  #saidAll(connection: Connection, half: Half, timeUs: number): void {
    this.#flush(connection, half)
    this.#skip(half, half.cursor.length, 'cut')
    half.settle()
    connection.decoder?.end(connection.direction(half), timeUs)
    this.#wake(connection, connection.other(half))
  }

  /** `final`: the other end has answered these bytes, so that they are all there was to say. */
  #probe(connection: Connection, half: Half, final = false): void {
    const { cursor } = half
    half.claimed = false
    if (half.undecided && this.#answerDecides(connection, half)) return
    half.undecided = false
    if (half.refused) return this.#skip(half, cursor.length, 'unrecognised')
    const last = cursor.length >= limits.PROBE_BYTES_MAX || half.ended || cursor.ended
    if (half.isAtBeginning && !connection.midstream && connection.direction(half) === TO_SERVER) {
      const size = proxyHeaderBytes(cursor.bytes, cursor.pos, cursor.end)
      if (size === UNDECIDED_HEADER && !last && !final) return
      if (size > 0) this.#skip(half, size, 'proxy_header')
      if (cursor.length === 0) return
    }
    const found = this.#detect(connection, half, last || final)
    if (found.kind === 'found') return this.#open(connection, half, found)
    if ((found.kind === 'undecided' || found.kind === 'weak') && !last) {
      half.claimed = found.kind === 'weak'
      return
    }
    half.undecided = found.kind === 'undecided' && !final && this.#answerDecides(connection, half)
    if (half.undecided) return
    this.#skip(half, cursor.length, 'unrecognised')
    half.broken = true
    half.probes += 1
    // A direction seen from its beginning starts with a message; one joined mid-way may reach one later.
    half.refused = !cursor.midway || half.probes >= limits.PROBE_SEGMENTS_MAX
    const other = connection.other(half)
    if (half.refused && other.undecided) this.#probe(connection, other)
    if (half.refused && other.refused) this.#giveUp(connection, 'unknown_protocol')
  }

  /** Seen from its beginning, and all that the other end has said, if anything, is still to be judged: with it these bytes may be. */
  #answerDecides(connection: Connection, half: Half): boolean {
    const other = connection.other(half)
    if (connection.info.transport === 'udp' || connection.midstream || half.broken || other.refused) return false
    return other.passedBytes === other.cursor.length && half.cursor.length <= limits.UNDECIDED_BYTES_MAX
  }

  #open(connection: Connection, half: Half, found: Extract<Detection, { kind: 'found' }>): void {
    if (found.turned) connection.turn()
    connection.mayTurn = false
    connection.stage = 'decoding'
    connection.protocol = found.protocol
    connection.reason = found.protocol.encrypted === true ? 'encrypted' : ''
    connection.handover = null
    const decoder = found.protocol.open(this.#sink, { transport: connection.info.transport, handover: null })
    connection.decoder = decoder
    const other = connection.other(half)
    for (const each of [half, other]) {
      each.syncing = false
      if (!connection.midstream && !each.broken) continue
      decoder.gap(connection.direction(each), 0, connection.lastUs)
      each.syncing = each !== half
    }
    const otherFirst =
      other.cursor.length > 0 && other.cursor.timeUs(other.cursor.pos) < half.cursor.timeUs(half.cursor.pos)
    if (otherFirst) this.#parse(connection, other)
    this.#parse(connection, half)
    if (!otherFirst && other.cursor.length > 0) this.#parse(connection, other)
    other.settle()
    for (const each of [half, other]) {
      if (each.undecided && each.ended) this.#saidAll(connection, each, connection.lastUs)
      each.undecided = false
    }
  }

  #parse(connection: Connection, half: Half): void {
    this.#run(connection, half)
    const other = connection.other(half)
    if (other.cursor.waits) this.#wake(connection, other)
  }

  /** This direction waited for the other, which has moved. */
  #wake(connection: Connection, half: Half): void {
    if (!half.cursor.waits) return
    this.#run(connection, half)
    half.settle()
  }

  /** Nothing continues what is in the window: the decoder makes of it what it can. */
  #flush(connection: Connection, half: Half): void {
    if (half.cursor.length === 0 || connection.decoder === null) return
    half.cursor.ended = true
    this.#run(connection, half)
    half.cursor.ended = half.ended
  }

  #run(connection: Connection, half: Half): void {
    const direction = connection.direction(half)
    const { cursor } = half
    cursor.waits = false
    while (cursor.pos < cursor.end) {
      const { decoder } = connection
      if (decoder === null) return
      if (half.syncing) {
        if (decoder.handover?.() != null) return this.#probeAgain(connection, SWITCH)
        if (!this.#resync(connection, half)) return
      }
      if (cursor.neededBytes > cursor.end - cursor.pos && !cursor.ended) return
      const consumed = decoder.parse(direction, cursor)
      if (consumed > 0) {
        cursor.pos += consumed
        cursor.neededBytes = 0
        cursor.searchedBytes = 0
        half.consumedBytes += consumed
        this.#accounting.consumedBytes += consumed
      } else if (consumed === MORE) {
        if (cursor.end - cursor.pos < limits.PENDING_BYTES_MAX) return
        this.#skip(half, cursor.end - cursor.pos, 'too_long')
        decoder.gap(direction, 0, connection.lastUs)
        half.syncing = true
      } else if (consumed === BAD) {
        this.#skip(half, 1, 'resync')
        half.syncing = true
      } else return this.#probeAgain(connection, consumed)
    }
  }

  /** True once the window starts at a message again. */
  #resync(connection: Connection, half: Half): boolean {
    const { cursor } = half
    cursor.neededBytes = 0
    cursor.searchedBytes = 0
    cursor.midway = true
    cursor.passedBytes = half.consumedBytes + half.skippedBytes
    const offset = connection.decoder?.resync(connection.direction(half), cursor) ?? -1
    if (offset >= 0) {
      half.syncSearched = 0
      half.syncing = false
      this.#skip(half, offset, 'resync')
      return true
    }
    const size = cursor.end - cursor.pos
    const drop = Math.max(Math.min(size, cursor.searchedBytes), size - limits.RESYNC_TAIL_BYTES)
    half.syncSearched += drop
    this.#skip(half, drop, 'resync')
    if (half.syncSearched > limits.RESYNC_BYTES_MAX && connection.exchanges === 0) this.#giveUp(connection, 'withdrawn')
    return false
  }

  #skip(half: Half, size: number, reason: SkipReason): void {
    if (size === 0) return
    const { cursor } = half
    cursor.pos += size
    cursor.searchedBytes = 0
    cursor.neededBytes = 0
    half.skippedBytes += size
    this.#accounting.skippedBytes[reason] += size
  }

  /** Another protocol follows, or this never was the one: the decoder is closed and the bytes are probed once more. */
  #probeAgain(connection: Connection, why: number): void {
    const handover = why === SWITCH ? (connection.decoder?.handover?.() ?? null) : null
    connection.decoder?.close('switched', connection.lastUs)
    connection.decoder = null
    if (why === WITHDRAW && connection.withdrawn) return this.#giveUp(connection, 'withdrawn')
    if (why === WITHDRAW) connection.withdrawn = true
    if (why === SWITCH) connection.midstream = false
    connection.stage = 'probing'
    for (const half of [connection.toServer, connection.toClient]) {
      // What the decoder before could not read may have been the beginning of what follows.
      if (why === SWITCH) half.broken = half.syncing
      half.syncing = false
      half.refused = false
      half.undecided = false
      half.probes = 0
      half.cursor.neededBytes = 0
      half.cursor.searchedBytes = 0
      half.cursor.waits = false
    }
    const named = this.#protocols.find((protocol) => protocol.name === handover?.protocol)
    if (handover !== null && named !== undefined) return this.#openNamed(connection, named, handover)
    for (const half of [connection.toServer, connection.toClient]) {
      if (half.cursor.length > 0 && connection.decoder === null && this.#probing(connection)) {
        this.#probe(connection, half)
        half.settle()
      }
    }
  }

  /** The protocol before has said what follows. */
  #openNamed(connection: Connection, protocol: Protocol, handover: Handover): void {
    connection.stage = 'decoding'
    connection.protocol = protocol
    connection.reason = protocol.encrypted === true ? 'encrypted' : ''
    connection.handover = handover
    connection.decoder = protocol.open(this.#sink, { transport: connection.info.transport, handover })
    for (const half of [connection.toServer, connection.toClient]) {
      if (!half.broken) continue
      connection.decoder.gap(connection.direction(half), 0, connection.lastUs)
      half.syncing = true
    }
    for (const half of connection.inTimeOrder()) {
      this.#parse(connection, half)
      half.settle()
    }
  }

  /**
   * Makes the decoder of a connection from a checkpoint. Where its state cannot be read, or nobody knows its protocol any
   * more, the connection goes on as if it were joined mid-way here.
   */
  restore(connection: Connection, protocolName: string, state: Buffer): void {
    connection.protocol = this.#protocols.find(({ name }) => name === protocolName) ?? null
    if (connection.stage !== 'decoding') return
    try {
      const { transport } = connection.info
      const decoder = connection.protocol?.open(this.#sink, { transport, handover: connection.handover }) ?? null
      if (decoder?.restore(new StateReader(state)) === true) {
        connection.decoder = decoder
        return
      }
    } catch (error) {
      this.#onFailure(connection, error)
    }
    this.#accounting.statesUnreadable += 1
    connection.stage = 'probing'
    connection.midstream = true
    for (const half of [connection.toServer, connection.toClient]) {
      this.#skip(half, half.cursor.length, 'cut')
      half.settle()
      half.broken = true
      half.syncing = false
      half.cursor.waits = false
    }
  }

  #probing(connection: Connection): boolean {
    return connection.stage === 'probing'
  }

  #giveUp(connection: Connection, reason: UndecodedReason): void {
    const { decoder } = connection
    connection.decoder = null
    connection.stage = 'undecoded'
    connection.reason = reason
    decoder?.close('switched', connection.lastUs)
    for (const half of [connection.toServer, connection.toClient]) {
      this.#skip(half, half.cursor.length, 'undecoded')
      half.settle()
    }
  }

  /** The fence: what a decoder throws costs its connection only. */
  fail(connection: Connection, error: unknown): void {
    this.#accounting.decoderFailures += 1
    connection.decoder = null
    this.#giveUp(connection, 'decoder_failed')
    this.#onFailure(connection, error)
  }
}
