/**
 * A DNS message (RFC 1035 section 4.1; EDNS RFC 6891):
 *
 *     message  = id flags counts[4] question* answer* authority* additional*       id, flags, counts: 2 bytes each
 *     question = name type class
 *     record   = name type class ttl[4] size data
 *     flags    = QR opcode[4] AA TC RD RA Z AD CD rcode[4]
 */

import { addressToText } from '../../../core/address.js'
import { read, readName, skipName } from './name_reader.js'
import { className, IQUERY, isKnownClass, isKnownOpcode, isKnownType, QUERY, typeName, UPDATE } from './names.js'
import { isText, rdataText, TEXT_CHARS_MAX } from './rdata.js'

export const HEADER_BYTES = 12
/** Records that are shown, and the length of the text they make, per section: answers are kept to be read, not to be whole. */
const RECORDS_SHOWN = 64
const SECTION_CHARS_MAX = 2048

const OPT = 41
const SOA = 6

export class DnsMessage {
  id = 0
  response = false
  opcode = QUERY
  rcode = 0
  /** `AA RD RA`. */
  flags = ''
  recursionDesired = false
  /** Of the first question; of the first answer where there is none (mDNS). `''` if neither can be read. */
  name = ''
  type = ''
  class = ''
  /** mDNS: the class has its top bit set (RFC 6762 sections 5.4 and 10.2). */
  topBit = false
  questions = 0
  answerCount = 0
  answers = ''
  texts = ''
  authorities = ''
  additionals = ''
  /** The first and the last answer are SOA: begin and end of a zone transfer. */
  beginsWithSoa = false
  endsWithSoa = false
  /** EDNS: for which clients the question is asked (RFC 7871), and why there is no better answer (RFC 8914). `''` if not said. */
  clientSubnet = ''
  extendedError = ''
  /** Everything fits, to the last byte. */
  wellFormed = false
  /** More than what is shown. */
  cut = false
}

const FLAG_BITS: readonly (readonly [number, string])[] = [
  [0x0400, 'AA'],
  [0x0200, 'TC'],
  [0x0100, 'RD'],
  [0x0080, 'RA'],
  [0x0020, 'AD'],
  [0x0010, 'CD'],
]
/** 64 combinations, made once. */
const FLAG_TEXTS = new Map<number, string>()

function flagsText(flags: number): string {
  const bits = flags & 0x07b0
  let text = FLAG_TEXTS.get(bits)
  if (text === undefined) {
    text = FLAG_BITS.filter(([bit]) => (bits & bit) !== 0)
      .map(([, name]) => name)
      .join(' ')
    FLAG_TEXTS.set(bits, text)
  }
  return text
}

/** Reads the message between `from` and `end`. Null if these bytes cannot even begin one. */
export function readMessage(bytes: Buffer, from: number, end: number): DnsMessage | null {
  if (end - from < HEADER_BYTES) return null
  const message = new DnsMessage()
  const flags = bytes.readUInt16BE(from + 2)
  message.id = bytes.readUInt16BE(from)
  message.response = (flags & 0x8000) !== 0
  message.opcode = (flags >> 11) & 15
  message.rcode = flags & 15
  message.flags = flagsText(flags)
  message.recursionDesired = (flags & 0x0100) !== 0
  message.questions = bytes.readUInt16BE(from + 4)
  message.answerCount = bytes.readUInt16BE(from + 6)
  message.wellFormed = readSections(message, bytes, from, end)
  return message
}

function readSections(message: DnsMessage, bytes: Buffer, from: number, end: number): boolean {
  let at = from + HEADER_BYTES
  for (let i = 0; i < message.questions; i++) {
    if (!readName(bytes, from, at, end) || read.next + 4 > end) return false
    if (i === 0) {
      message.name = read.name
      setType(message, bytes.readUInt16BE(read.next), bytes.readUInt16BE(read.next + 2))
    }
    at = read.next + 4
  }
  for (let section = 0; section < 3; section++) {
    const records = bytes.readUInt16BE(from + 6 + 2 * section)
    if (records === 0) continue
    at = readRecords(message, section, records, bytes, from, at, end)
    if (at < 0) return false
  }
  return at === end
}

function setType(message: DnsMessage, type: number, classValue: number): void {
  message.type = typeName(type)
  message.topBit = (classValue & 0x8000) !== 0
  message.class = className(classValue & 0x7fff)
}

/** Offset behind the section, -1 where it breaks off. */
function readRecords(
  message: DnsMessage,
  section: number,
  records: number,
  bytes: Buffer,
  from: number,
  start: number,
  end: number,
): number {
  let at = start
  let text = ''
  let broken = false
  for (let i = 0; i < records && !broken; i++) {
    const next = skipName(bytes, from, at, end)
    if (next < 0 || next + 10 > end) {
      broken = true
      break
    }
    const type = bytes.readUInt16BE(next)
    const data = next + 10
    const to = data + bytes.readUInt16BE(next + 8)
    if (message.name === '' && section === 0 && readName(bytes, from, at, end)) {
      message.name = read.name
      setType(message, type, bytes.readUInt16BE(next + 2))
    }
    if (section === 0 && i === 0) message.beginsWithSoa = type === SOA
    if (section === 0 && i === records - 1) message.endsWithSoa = type === SOA
    if (to > end) {
      broken = true
      break
    }
    if (type === OPT) {
      message.rcode |= bytes[next + 4] << 4
      readOptions(message, bytes, data, to)
    } else if (i >= RECORDS_SHOWN || text.length > SECTION_CHARS_MAX) message.cut = true
    else {
      const value = rdataText(type, bytes, from, data, to)
      if (isText(type)) {
        if (message.texts.length >= TEXT_CHARS_MAX) message.cut = true
        else message.texts += message.texts === '' ? value : `; ${value}`
      }
      const shown = isText(type) || value === '' ? typeName(type) : `${typeName(type)} ${value}`
      text += text === '' ? shown : `; ${shown}`
    }
    at = to
  }
  if (section === 0) message.answers = text
  else if (section === 1) message.authorities = text
  else message.additionals = text
  return broken ? -1 : at
}

const CLIENT_SUBNET = 8
const EXTENDED_ERROR = 15

function readOptions(message: DnsMessage, bytes: Buffer, from: number, to: number): void {
  for (let at = from; at + 4 <= to; ) {
    const code = bytes.readUInt16BE(at)
    const data = at + 4
    at = data + bytes.readUInt16BE(at + 2)
    if (at > to) return
    if (code === EXTENDED_ERROR && at - data >= 2) message.extendedError = String(bytes.readUInt16BE(data))
    if (code === CLIENT_SUBNET && at - data >= 4) message.clientSubnet = subnet(bytes, data, at)
  }
}

/** Family, two prefix lengths, and as much of the address as the first needs. */
function subnet(bytes: Buffer, at: number, to: number): string {
  const family = bytes.readUInt16BE(at)
  const size = family === 1 ? 4 : family === 2 ? 16 : 0
  if (size === 0 || to - at - 4 > size) return ''
  const address = Buffer.alloc(size)
  bytes.copy(address, 0, at + 4, to)
  return `${addressToText(address, 0, size)}/${bytes[at + 2]}`
}

const COUNT_MAX = 4096
const PLAIN_NAME = /^[\w-]+(\.[\w-]+)+$/
const NETBIOS_NAME = /^[A-P]{32}(\.|$)/

/**
 * How surely these bytes are DNS, 0 to 100: names, types, classes and counts must be what they can be, and end where the
 * message ends. NetBIOS name service has the same form, and its names are of 32 letters from A to P.
 */
export function judge(bytes: Buffer, from: number, end: number): number {
  if (end - from < HEADER_BYTES) return 0
  const flags = bytes.readUInt16BE(from + 2)
  if (!isKnownOpcode((flags >> 11) & 15)) return 0
  const questions = bytes.readUInt16BE(from + 4)
  const records = bytes.readUInt16BE(from + 6) + bytes.readUInt16BE(from + 8) + bytes.readUInt16BE(from + 10)
  if (questions + records === 0 || questions > 64 || records > COUNT_MAX) return 0
  const response = (flags & 0x8000) !== 0
  if (!response && (flags & 15) !== 0 && questions !== 1) return 0
  const message = readMessage(bytes, from, end)
  if (message === null || message.name === '' || NETBIOS_NAME.test(message.name)) return 0
  const strange = strangeness(bytes, from, end)
  // A type or a class for private use: everything else must be as usual.
  if (strange > 0)
    return strange === 1 && questions === 1 && message.wellFormed && PLAIN_NAME.test(message.name) ? 60 : 0
  const update = message.opcode === UPDATE
  if (!response && questions === 0 && message.opcode !== IQUERY) return 0
  if (!response && !update && bytes.readUInt16BE(from + 6) > 0 && !message.topBit && message.recursionDesired)
    return message.wellFormed ? 60 : 0
  if (message.wellFormed) return message.name === '.' && !response ? 70 : 95
  return questions === 1 && (flags & 0x0040) === 0 && PLAIN_NAME.test(message.name) ? 50 : 0
}

/** Of type and class of the first question, or record, how many nobody knows; 2 where they are not there. */
function strangeness(bytes: Buffer, from: number, end: number): number {
  if (!readName(bytes, from, from + HEADER_BYTES, end) || read.next + 4 > end) return 2
  const type = bytes.readUInt16BE(read.next)
  const classValue = bytes.readUInt16BE(read.next + 2) & 0x7fff
  // Types are many and still growing; of an OPT record the class is a size.
  const knownType = isKnownType(type) || type < 512
  return (knownType ? 0 : 1) + (isKnownClass(classValue) || type === OPT ? 0 : 1)
}
