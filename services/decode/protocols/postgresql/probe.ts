/** Is it PostgreSQL, which end speaks, and where does the next message begin. */
import type { Cursor } from '../../../core/cursor.js'
import { HERE, LATER, NEVER, type Places, WAIT } from '../../../core/places.js'
import { CERTAIN, NO, UNDECIDED, type Verdict } from '../../../core/protocol.js'
import { type Direction, TO_SERVER } from '../../../core/segment.js'
import { bodyFits, isText } from './grammar.js'
import * as m from './messages.js'
import { NO_PACKET, PART, startupPacket } from './startup.js'

/** One message of which every byte is accounted for, or several. */
const LIKELY = 80
/** A long statement of which the start is here. */
const PROBABLE = 60
/** Longer than a probe sees: judged by its start. */
const LONG_BYTES = 3072

export function probeHead(head: Cursor): Verdict {
  const { bytes, pos, end } = head
  if (pos === end) return UNDECIDED
  if (bytes[pos] === 0) {
    const packet = startupPacket(bytes, pos, end)
    return packet === NO_PACKET ? NO : packet === PART ? UNDECIDED : end - pos < packet ? UNDECIDED : CERTAIN
  }
  const client = chain(bytes, pos, end, false)
  const server = chain(bytes, pos, end, true)
  if (client > 0 || server > 0) return Math.max(client, server)
  return client === UNDECIDED || server === UNDECIDED ? UNDECIDED : NO
}

export function isTurned(head: Cursor, direction: Direction): boolean {
  const { bytes, pos, end } = head
  if (bytes[pos] === 0) return direction !== TO_SERVER
  const server = chain(bytes, pos, end, true) > chain(bytes, pos, end, false)
  return server === (direction === TO_SERVER)
}

/** Judges the messages from `from` to the end of the window as those of one end. */
function chain(bytes: Buffer, from: number, end: number, server: boolean): Verdict {
  let at = from
  let whole = 0
  let telling = 0
  while (at < end) {
    const type = bytes[at]
    const shown = end - at
    if (shown < m.HEADER_BYTES) {
      if (!m.lengthFits(server, type, shortest(server, type)) || !zeroStart(bytes, at + 1, end)) return NO
      break
    }
    const length = m.int32(bytes, at + 1)
    if (!m.lengthFits(server, type, length)) return NO
    if (at + 1 + length > end) {
      if (!startFits(bytes, at, end, server, type)) return NO
      if (whole === 0 && !server && shown > LONG_BYTES && type === m.QUERY) return PROBABLE
      break
    }
    if (!bodyFits(server, type, bytes, at + m.HEADER_BYTES, at + 1 + length)) return NO
    whole += 1
    telling += tells(bytes, at, length, server, type)
    at += 1 + length
  }
  if (telling >= 2) return CERTAIN
  if (telling === 1) return whole > 1 || at === end ? LIKELY : UNDECIDED
  return UNDECIDED
}

/** 2 = proof, 1 = strong, 0 = says little: bytes of others may look so. */
function tells(bytes: Buffer, at: number, length: number, server: boolean, type: number): number {
  const body = at + m.HEADER_BYTES
  if (!server) {
    if (type === m.QUERY) return length === 5 ? 1 : startsStatement(bytes, body, at + length) ? 2 : 0
    if (type === m.PARSE || type === m.BIND || type === m.SYNC || type === m.EXECUTE) return 1
    return type === m.DESCRIBE || type === m.CLOSE || type === m.FUNCTION_CALL ? 1 : 0
  }
  switch (type) {
    case m.READY:
    case m.AUTHENTICATION:
    case m.PARSE_COMPLETE:
    case m.BIND_COMPLETE:
      return 1
    case m.ERROR:
    case m.NOTICE:
      return 2
    case m.ROW_DESCRIPTION:
      return length > 6 ? 1 : 0
    case m.COMMAND_COMPLETE:
      return length > 6 ? 1 : 0
    case m.PARAMETER_STATUS:
    case m.NOTIFICATION:
    case m.COPY_IN:
    case m.COPY_OUT:
    case m.COPY_BOTH:
    case m.FUNCTION_RESPONSE:
      return 1
    case m.DATA_ROW:
      return length > 10 ? 1 : 0
  }
  return 0
}

/** Starts of statements, in any case. */
const STARTS: ReadonlySet<string> = new Set(
  (
    'abort alter analyze begin call checkpoint close cluster comment commit copy create deallocate declare delete discard do ' +
    'drop end execute explain fetch grant import insert listen lock merge move notify prepare reassign refresh reindex ' +
    'release reset revoke rollback savepoint select set show start table truncate unlisten update vacuum values with ' +
    'identify_system start_replication create_replication_slot drop_replication_slot base_backup timeline_history'
  ).split(' '),
)

function startsStatement(bytes: Buffer, from: number, to: number): boolean {
  let at = from
  while (at < to && (bytes[at] <= 32 || bytes[at] === 40)) at++
  if (bytes[at] === 45 || bytes[at] === 47 || bytes[at] === 59) return to - at > 1
  let wordEnd = at
  while (wordEnd < to && wordEnd - at < 32 && ((bytes[wordEnd] | 32) >= 97 || bytes[wordEnd] === 95)) wordEnd++
  return STARTS.has(bytes.toString('latin1', at, wordEnd).toLowerCase())
}

/** What is here of an unfinished message. */
function startFits(bytes: Buffer, at: number, end: number, server: boolean, type: number): boolean {
  const body = at + m.HEADER_BYTES
  if (!server && type === m.QUERY) {
    return (end - body < 32 || startsStatement(bytes, body, end)) && isText(bytes, body, end)
  }
  return true
}

function shortest(server: boolean, type: number): number {
  for (const length of [4, 5, 6, 8, 10, 12, 14]) if (m.lengthFits(server, type, length)) return length
  return 0
}

/** Of an unfinished length field: no message of a gigabyte. */
function zeroStart(bytes: Buffer, from: number, end: number): boolean {
  return from >= end || bytes[from] <= 0x3f
}

/**
 * Offset from `head.pos` of the next message of this end, -1 if none is in sight; `head.searchedBytes` then says how many
 * bytes need not be looked at again. Rows may hold anything, so a message counts when all of its body is what its type
 * says and a message, or nothing yet, follows it.
 */
export function findMessage(head: Cursor, server: boolean, places: Places): number {
  const { bytes, pos, end } = head
  const isType = m.typesOf(server)
  const found = places.search(head, m.HEADER_BYTES - 1, (at) => {
    // Most places are passed over by these two bytes alone.
    if (isType[bytes[at]] === 0 || bytes[at + 1] > 0x3f) return NEVER
    const length = m.int32(bytes, at + 1)
    if (!m.lengthFits(server, bytes[at], length)) return NEVER
    const verdict = follows(bytes, at, end, server, head.ended)
    // Of a statement each byte tells whether it is one.
    if (verdict === UNDECIDED && (server || bytes[at] !== m.QUERY)) places.neededEnd = at + 1 + length
    return verdict === CERTAIN ? HERE : verdict === UNDECIDED ? WAIT : LATER
  })
  if (found >= 0) return found - pos
  const { waiting } = places
  head.searchedBytes = waiting >= 0 ? waiting - pos : Math.max(0, end - pos - m.HEADER_BYTES + 1)
  return -1
}

/** CERTAIN: messages to the end of the window. UNDECIDED: the first reaches beyond it. */
function follows(bytes: Buffer, from: number, end: number, server: boolean, ended: boolean): Verdict {
  let at = from
  let whole = 0
  let telling = 0
  while (at < end && whole < 4) {
    if (end - at < m.HEADER_BYTES) {
      if (!m.lengthFits(server, bytes[at], shortest(server, bytes[at])) || !zeroStart(bytes, at + 1, end)) return NO
      break
    }
    const type = bytes[at]
    const length = m.int32(bytes, at + 1)
    if (!m.lengthFits(server, type, length)) return NO
    if (at + 1 + length > end) {
      if (whole === 0) return startFits(bytes, at, end, server, type) && !ended ? UNDECIDED : NO
      break
    }
    if (!bodyFits(server, type, bytes, at + m.HEADER_BYTES, at + 1 + length)) return NO
    whole += 1
    telling += tells(bytes, at, length, server, type)
    at += 1 + length
  }
  if (telling > 0) return CERTAIN
  // Short ones without content, and copied data: only together with others.
  if (whole >= 2) return CERTAIN
  return at === end && length4(bytes, from) ? CERTAIN : NO
}

/** A message of nothing but type and length: five known bytes. */
function length4(bytes: Buffer, at: number): boolean {
  return m.int32(bytes, at + 1) === 4
}
