/**
 * JA3 and JA3S (github.com/salesforce/ja3): MD5 of the numbers of a hello in the order they were sent. JA4
 * (github.com/FoxIO-LLC/ja4, technical_details/JA4.md, BSD licence): readable part, and SHA-256 of sorted numbers. The other
 * methods of the JA4+ suite are not free to use.
 */
import { createHash } from 'node:crypto'
import { type ClientHello, EXTENSION, highestVersion, type ServerHello } from './hello.js'
import { isDatagramVersion } from './names.js'

/** Reserved numbers that clients mix in so that servers do not stumble over new ones (RFC 8701). */
export function isGrease(value: number): boolean {
  return (value & 0x0f0f) === 0x0a0a && value >> 8 === (value & 0xff)
}

function withoutGrease(values: readonly number[]): number[] {
  return values.filter((value) => !isGrease(value))
}

function joined(values: readonly number[]): string {
  return withoutGrease(values).join('-')
}

export function ja3(hello: ClientHello): string {
  const { version, ciphers, extensions, groups, pointFormats } = hello
  const text = [version, joined(ciphers), joined(extensions), joined(groups), pointFormats.join('-')].join(',')
  return createHash('md5').update(text).digest('hex')
}

/** `version` as the hello says it in its own field, not in an extension. */
export function ja3s(hello: ServerHello, version: number): string {
  const text = `${version},${hello.cipher},${hello.extensions.join('-')}`
  return createHash('md5').update(text).digest('hex')
}

const JA4_VERSIONS = new Map([
  [0x0304, '13'],
  [0x0303, '12'],
  [0x0302, '11'],
  [0x0301, '10'],
  [0x0300, 's3'],
  [0x0002, 's2'],
  [0xfeff, 'd1'],
  [0xfefd, 'd2'],
  [0xfefc, 'd3'],
])

const COUNT_MAX = 99
const NOTHING_HASHED = '000000000000'

export function ja4(hello: ClientHello): string {
  const ciphers = withoutGrease(hello.ciphers)
  const extensions = withoutGrease(hello.extensions)
  const version = JA4_VERSIONS.get(highestVersion(hello)) ?? '00'
  const name = hello.extensions.includes(EXTENSION.serverName) ? 'd' : 'i'
  const transport = isDatagramVersion(hello.version) ? 'd' : 't'
  const readable = `${transport}${version}${name}${count(ciphers)}${count(extensions)}${alpnEnds(hello.alpn[0] ?? '')}`
  const sorted = extensions
    .filter((type) => type !== EXTENSION.serverName && type !== EXTENSION.alpn)
    .map(hex)
    .sort()
    .join(',')
  const signatures = withoutGrease(hello.signatureAlgorithms).map(hex).join(',')
  const extensionText = extensions.length === 0 ? '' : signatures === '' ? sorted : `${sorted}_${signatures}`
  return `${readable}_${hashed(ciphers.map(hex).sort().join(','))}_${hashed(extensionText)}`
}

function count(values: readonly number[]): string {
  return String(Math.min(COUNT_MAX, values.length)).padStart(2, '0')
}

function hex(value: number): string {
  return value.toString(16).padStart(4, '0')
}

function hashed(text: string): string {
  return text === '' ? NOTHING_HASHED : createHash('sha256').update(text).digest('hex').slice(0, 12)
}

/**
 * First and last character of the first protocol name. Of one that is not letters and digits at both ends the description
 * takes the ends of its hex form; beyond ASCII its own programs and their expected results have a 9 for each, and so do we.
 */
function alpnEnds(name: string): string {
  if (name === '') return '00'
  const [first, last] = [name[0], name[name.length - 1]]
  if (first > '\u007f' || last > '\u007f') return `${first > '\u007f' ? '9' : first}${last > '\u007f' ? '9' : last}`
  if (/[0-9A-Za-z]/.test(first) && /[0-9A-Za-z]/.test(last)) return first + last
  const digits = Buffer.from(name, 'latin1').toString('hex')
  return digits[0] + digits[digits.length - 1]
}
