/** Data of records that say more than names, addresses and numbers: keys, places, services. */
import { addressToText } from '../../../core/address.js'
import { read, readName } from './name_reader.js'

/** Of a key or digest: what fits the usual ones. */
const DIGEST_BYTES_SHOWN = 64
/** Parameters of a service that are shown, and the length of the text of one. */
const PARAMETERS_SHOWN = 16
const PARAMETER_CHARS_MAX = 256

/** flags protocol algorithm key (RFC 4034 section 2.2) */
export function keyText(bytes: Buffer, at: number, to: number): string {
  if (to - at < 4) return ''
  const key = bytes.toString('base64', at + 4, Math.min(to, at + 4 + DIGEST_BYTES_SHOWN))
  return `${bytes.readUInt16BE(at)} ${bytes[at + 2]} ${bytes[at + 3]} ${key}`
}

/** usage selector matching-type data (RFC 6698 section 2.2) */
export function tlsaText(bytes: Buffer, at: number, to: number): string {
  if (to - at < 3) return ''
  const data = bytes.toString('hex', at + 3, Math.min(to, at + 3 + DIGEST_BYTES_SHOWN))
  return `${bytes[at]} ${bytes[at + 1]} ${bytes[at + 2]} ${data}`
}

export function macText(bytes: Buffer, at: number, to: number): string {
  return [...bytes.subarray(at, Math.min(to, at + 8))].map((byte) => byte.toString(16).padStart(2, '0')).join('-')
}

const LOC_BYTES = 16
const EQUATOR = 2 ** 31
const ARC_MS_MAX = { latitude: 90 * 3600_000, longitude: 180 * 3600_000 }
const ALTITUDE_BASE_CM = 10_000_000

/** Latitude, longitude and altitude (RFC 1876 section 2); how exact they are is left out. */
export function locationText(bytes: Buffer, at: number, to: number): string {
  if (to - at !== LOC_BYTES || bytes[at] !== 0) return ''
  const latitude = bytes.readUInt32BE(at + 4) - EQUATOR
  const longitude = bytes.readUInt32BE(at + 8) - EQUATOR
  if (Math.abs(latitude) > ARC_MS_MAX.latitude || Math.abs(longitude) > ARC_MS_MAX.longitude) return ''
  const altitude = (bytes.readUInt32BE(at + 12) - ALTITUDE_BASE_CM) / 100
  return `${arc(latitude, 'N', 'S')} ${arc(longitude, 'E', 'W')} ${altitude.toFixed(2)}m`
}

function arc(ms: number, positive: string, negative: string): string {
  const size = Math.abs(ms)
  const seconds = ((size % 60_000) / 1000).toFixed(3)
  const minutes = Math.floor(size / 60_000) % 60
  return `${Math.floor(size / 3600_000)} ${minutes} ${seconds} ${ms < 0 ? negative : positive}`
}

const MANDATORY = 0
const ALPN = 1
const PORT = 3
const IPV4_HINT = 4
const IPV6_HINT = 6
/** IANA "Service Parameter Keys (SvcParamKeys)". */
const PARAMETERS: Readonly<Record<number, string>> = {
  [MANDATORY]: 'mandatory',
  [ALPN]: 'alpn',
  2: 'no-default-alpn',
  [PORT]: 'port',
  [IPV4_HINT]: 'ipv4hint',
  5: 'ech',
  [IPV6_HINT]: 'ipv6hint',
  7: 'dohpath',
  8: 'ohttp',
}

/** priority target parameter* (RFC 9460 section 2.2), a parameter being key[2] size[2] value. */
export function serviceText(bytes: Buffer, from: number, start: number, to: number): string {
  if (to - start < 3 || !readName(bytes, from, start + 2, to)) return ''
  const words = [String(bytes.readUInt16BE(start)), read.name]
  for (let at = read.next; at + 4 <= to && words.length < PARAMETERS_SHOWN; ) {
    const key = bytes.readUInt16BE(at)
    const data = at + 4
    at = data + bytes.readUInt16BE(at + 2)
    if (at > to) return ''
    const value = parameterText(key, bytes, data, at).slice(0, PARAMETER_CHARS_MAX)
    const name = PARAMETERS[key] ?? `key${key}`
    words.push(value === '' ? name : `${name}=${value}`)
  }
  return words.join(' ')
}

function parameterText(key: number, bytes: Buffer, at: number, to: number): string {
  switch (key) {
    case MANDATORY:
      return pieces(at, to, 2, (i) => PARAMETERS[bytes.readUInt16BE(i)] ?? `key${bytes.readUInt16BE(i)}`)
    case ALPN:
      return alpn(bytes, at, to)
    case PORT:
      return to - at === 2 ? String(bytes.readUInt16BE(at)) : ''
    case IPV4_HINT:
      return pieces(at, to, 4, (i) => addressToText(bytes, i, 4))
    case IPV6_HINT:
      return pieces(at, to, 16, (i) => addressToText(bytes, i, 16))
    default:
      return to > at ? `\\# ${to - at}` : ''
  }
}

function pieces(from: number, to: number, size: number, text: (at: number) => string): string {
  const words: string[] = []
  for (let at = from; at + size <= to && words.length < PARAMETERS_SHOWN; at += size) words.push(text(at))
  return words.join(',')
}

function alpn(bytes: Buffer, from: number, to: number): string {
  const ids: string[] = []
  for (let at = from; at < to && ids.length < PARAMETERS_SHOWN; at += 1 + bytes[at]) {
    ids.push(bytes.toString('latin1', at + 1, Math.min(to, at + 1 + bytes[at])))
  }
  return ids.join(',')
}
