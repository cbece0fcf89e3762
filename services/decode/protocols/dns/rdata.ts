/** The data of a record as text, close to how zone files write it. Empty where it does not fit its type. */
import { addressToText } from '../../../core/address.js'
import { read, readName } from './name_reader.js'
import { typeName } from './names.js'
import { keyText, locationText, macText, serviceText, tlsaText } from './rdata_more.js'

/** Texts are cut here: what fits a large EDNS message. Data that is no name, address, number or text is shown by its size. */
export const TEXT_CHARS_MAX = 4096

const A = 1
const SOA = 6
const NULL = 10
const HINFO = 13
const MINFO = 14
const MX = 15
const TXT = 16
const RP = 17
const KEY = 25
const AAAA = 28
const LOC = 29
const SRV = 33
const NAPTR = 35
const CERT = 37
const DS = 43
const SSHFP = 44
const RRSIG = 46
const NSEC = 47
const DNSKEY = 48
const TLSA = 52
const SMIMEA = 53
const CDS = 59
const CDNSKEY = 60
const SVCB = 64
const HTTPS = 65
const SPF = 99
const EUI48 = 108
const EUI64 = 109
const URI = 256
const CAA = 257
const DLV = 32769
/** NS, MD, MF, CNAME, MB, MG, MR, PTR, DNAME: one name. */
const ONE_NAME = new Set([2, 3, 4, 5, 7, 8, 9, 12, 39])
/** A number and a name: MX, AFSDB, RT, KX. */
const NUMBER_AND_NAME = new Set([MX, 18, 21, 36])

/** True for types whose data is free text. */
export function isText(type: number): boolean {
  return type === TXT || type === SPF || type === HINFO || type === NULL
}

/** `from` is where the message begins, for names in it; the data lies between `at` and `to`. */
export function rdataText(type: number, bytes: Buffer, from: number, at: number, to: number): string {
  if (type === A) return to - at === 4 ? `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}` : ''
  if (type === AAAA) return to - at === 16 ? addressToText(bytes, at, 16) : ''
  if (ONE_NAME.has(type)) return name(bytes, from, at, to)
  if (NUMBER_AND_NAME.has(type)) return to - at > 2 ? `${bytes.readUInt16BE(at)} ${name(bytes, from, at + 2, to)}` : ''
  if (type === NULL) return bytes.toString('utf8', at, Math.min(to, at + TEXT_CHARS_MAX))
  if (isText(type)) return texts(bytes, at, to).join(' ')
  switch (type) {
    case SOA:
      return soa(bytes, from, at, to)
    case SRV:
      if (to - at < 7) return ''
      return `${bytes.readUInt16BE(at)} ${bytes.readUInt16BE(at + 2)} ${bytes.readUInt16BE(at + 4)} ${name(bytes, from, at + 6, to)}`
    case NAPTR:
      return naptr(bytes, from, at, to)
    case DS:
    case CDS:
    case DLV:
      if (to - at < 5) return ''
      return `${bytes.readUInt16BE(at)} ${bytes[at + 2]} ${bytes[at + 3]} ${hex(bytes, at + 4, to)}`
    case SSHFP:
      return to - at < 3 ? '' : `${bytes[at]} ${bytes[at + 1]} ${hex(bytes, at + 2, to)}`
    case RRSIG:
      if (to - at < 19) return ''
      return `${typeName(bytes.readUInt16BE(at))} ${bytes[at + 2]} ${name(bytes, from, at + 18, to)}`
    case NSEC:
      return name(bytes, from, at, to)
    case SVCB:
    case HTTPS:
      return serviceText(bytes, from, at, to)
    case RP:
    case MINFO:
      return twoNames(bytes, from, at, to)
    case KEY:
    case DNSKEY:
    case CDNSKEY:
      return keyText(bytes, at, to)
    case TLSA:
    case SMIMEA:
      return tlsaText(bytes, at, to)
    case CERT:
      return to - at < 5 ? '' : `${bytes.readUInt16BE(at)} ${bytes.readUInt16BE(at + 2)} ${bytes[at + 4]}`
    case LOC:
      return locationText(bytes, at, to)
    case EUI48:
    case EUI64:
      return macText(bytes, at, to)
    case URI:
      if (to - at < 4) return ''
      return `${bytes.readUInt16BE(at)} ${bytes.readUInt16BE(at + 2)} ${JSON.stringify(bytes.toString('utf8', at + 4, to))}`
    case CAA:
      return caa(bytes, at, to)
    default:
      return to > at ? `\\# ${to - at}` : ''
  }
}

function name(bytes: Buffer, from: number, at: number, to: number): string {
  return readName(bytes, from, at, to) ? read.name : ''
}

function soa(bytes: Buffer, from: number, at: number, to: number): string {
  if (!readName(bytes, from, at, to)) return ''
  const server = read.name
  if (!readName(bytes, from, read.next, to) || to - read.next < 20) return server
  return `${server} ${read.name} ${bytes.readUInt32BE(read.next)}`
}

function twoNames(bytes: Buffer, from: number, at: number, to: number): string {
  if (!readName(bytes, from, at, to)) return ''
  const first = read.name
  return `${first} ${name(bytes, from, read.next, to)}`
}

function texts(bytes: Buffer, at: number, to: number): string[] {
  const parts: string[] = []
  let size = 0
  for (let i = at; i < to && size < TEXT_CHARS_MAX; ) {
    const end = Math.min(to, i + 1 + bytes[i])
    const text = bytes.toString('utf8', i + 1, end)
    parts.push(text)
    size += text.length
    i = end
  }
  return parts
}

function naptr(bytes: Buffer, from: number, at: number, to: number): string {
  if (to - at < 8) return ''
  const words: string[] = [String(bytes.readUInt16BE(at)), String(bytes.readUInt16BE(at + 2))]
  let i = at + 4
  for (let part = 0; part < 3; part++) {
    if (i >= to) return ''
    const end = i + 1 + bytes[i]
    if (end > to) return ''
    words.push(JSON.stringify(bytes.toString('latin1', i + 1, end)))
    i = end
  }
  return `${words.join(' ')} ${name(bytes, from, i, to)}`
}

function caa(bytes: Buffer, at: number, to: number): string {
  if (to - at < 2) return ''
  const tagEnd = at + 2 + bytes[at + 1]
  if (tagEnd > to) return ''
  return `${bytes[at]} ${bytes.toString('latin1', at + 2, tagEnd)} ${JSON.stringify(bytes.toString('utf8', tagEnd, to))}`
}

function hex(bytes: Buffer, at: number, to: number): string {
  return bytes.toString('hex', at, Math.min(to, at + 64))
}
