/**
 * What is told of a certificate (RFC 5280 section 4.1). No signature is checked, and nothing here trusts what it reads: a
 * field that does not fit is left empty.
 *
 *     Certificate = SEQUENCE { tbs, algorithm, signature }
 *     tbs = SEQUENCE { [0] version?, serial, algorithm, issuer, validity, subject, key, [1]?, [2]?, [3] extensions? }
 */
import { createHash } from 'node:crypto'
import { Der, objectIdentifier } from './der.js'
import { distinguishedName } from './distinguished_name.js'

const SEQUENCE = 0x30
const INTEGER = 0x02
const OID = 0x06
const OCTETS = 0x04
const UTC_TIME = 0x17
const GENERALIZED_TIME = 0x18
const VERSION = 0xa0
const EXTENSIONS = 0xa3
const SUBJECT_ALT_NAME = '2.5.29.17'
const SERIAL_BYTES_MAX = 64

export class Certificate {
  subject = ''
  issuer = ''
  /** ISO 8601, `''` unknown. */
  notBefore = ''
  notAfter = ''
  /** Upper-case hex. */
  serial = ''
  sha256 = ''
  alternativeNames = 0
}

/** null where it is not a certificate at all. */
export function readCertificate(der: Buffer): Certificate | null {
  const outer = new Der(der)
  if (!outer.expect(SEQUENCE)) return null
  const parts = outer.inside()
  if (!parts.expect(SEQUENCE)) return null
  const tbs = parts.inside()
  if (!tbs.next() || (isVersion(tbs) && !tbs.next()) || !isInteger(tbs)) return null
  const certificate = new Certificate()
  certificate.serial = serialNumber(der, tbs.from, tbs.to)
  certificate.sha256 = createHash('sha256').update(der).digest('hex').toUpperCase()
  if (!tbs.expect(SEQUENCE) || !tbs.expect(SEQUENCE)) return certificate
  certificate.issuer = distinguishedName(tbs.inside())
  if (!tbs.expect(SEQUENCE)) return certificate
  const validity = tbs.inside()
  if (validity.next()) certificate.notBefore = time(validity)
  if (validity.next()) certificate.notAfter = time(validity)
  if (!tbs.expect(SEQUENCE)) return certificate
  certificate.subject = distinguishedName(tbs.inside())
  while (tbs.next()) if (tbs.tag === EXTENSIONS) certificate.alternativeNames = alternativeNames(tbs.inside())
  return certificate
}

const isVersion = (der: Der): boolean => der.tag === VERSION
const isInteger = (der: Der): boolean => der.tag === INTEGER

/** A positive number has a zero in front where its first bit is set; it is not part of the usual form. */
function serialNumber(bytes: Buffer, from: number, to: number): string {
  const start = to - from > 1 && bytes[from] === 0 ? from + 1 : from
  return bytes.toString('hex', start, Math.min(to, start + SERIAL_BYTES_MAX)).toUpperCase()
}

/** Names in the extension subjectAltName. */
function alternativeNames(outer: Der): number {
  if (!outer.expect(SEQUENCE)) return 0
  const extensions = outer.inside()
  while (extensions.expect(SEQUENCE)) {
    const extension = extensions.inside()
    if (!extension.expect(OID)) continue
    if (objectIdentifier(extension.bytes, extension.from, extension.to) !== SUBJECT_ALT_NAME) continue
    while (extension.next()) {
      if (extension.tag !== OCTETS) continue
      const names = extension.inside()
      if (!names.expect(SEQUENCE)) return 0
      const list = names.inside()
      let count = 0
      while (list.next()) count += 1
      return count
    }
  }
  return 0
}

/** `YYMMDDhhmm[ss]` and `YYYYMMDDhhmm[ss[.f]]`, with `Z`, `+hhmm` or `-hhmm` behind (RFC 5280 section 4.1.2.5). */
const TIME = /^(\d{2}|\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})?(?:\.\d+)?(?:Z|([+-])(\d{2})(\d{2}))$/

function time(der: Der): string {
  if ((der.tag !== UTC_TIME && der.tag !== GENERALIZED_TIME) || der.to - der.from > 32) return ''
  const match = TIME.exec(der.bytes.toString('latin1', der.from, der.to))
  if (match === null || (match[1].length === 4) !== (der.tag === GENERALIZED_TIME)) return ''
  const [month, day, hour, minute, second] = match.slice(2, 7).map((part) => Number(part ?? 0))
  if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60) return ''
  const year = match[1].length === 4 ? Number(match[1]) : Number(match[1]) + (Number(match[1]) < 50 ? 2000 : 1900)
  const offset = match[7] === undefined ? 0 : (Number(match[8]) * 60 + Number(match[9])) * (match[7] === '+' ? 1 : -1)
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  date.setUTCHours(hour, minute - offset, second)
  return date.toISOString()
}
