/** Names of subjects and issuers as text (RFC 4514): `CN=example.org,O=Example,C=DE`, the last part first. */
import { type Der, objectIdentifier } from './der.js'

const SET = 0x31
const SEQUENCE = 0x30
const OID = 0x06
/** Longer names are cut: a subject column is for people. */
const NAME_CHARS_MAX = 1024
const PARTS_MAX = 64

const ATTRIBUTES = new Map([
  ['2.5.4.3', 'CN'],
  ['2.5.4.4', 'SN'],
  ['2.5.4.5', 'serialNumber'],
  ['2.5.4.6', 'C'],
  ['2.5.4.7', 'L'],
  ['2.5.4.8', 'ST'],
  ['2.5.4.9', 'street'],
  ['2.5.4.10', 'O'],
  ['2.5.4.11', 'OU'],
  ['2.5.4.12', 'title'],
  ['2.5.4.13', 'description'],
  ['2.5.4.15', 'businessCategory'],
  ['2.5.4.16', 'postalAddress'],
  ['2.5.4.17', 'postalCode'],
  ['2.5.4.18', 'postOfficeBox'],
  ['2.5.4.20', 'telephoneNumber'],
  ['2.5.4.41', 'name'],
  ['2.5.4.42', 'GN'],
  ['2.5.4.43', 'initials'],
  ['2.5.4.46', 'dnQualifier'],
  ['2.5.4.65', 'pseudonym'],
  ['2.5.4.97', 'organizationIdentifier'],
  ['0.9.2342.19200300.100.1.1', 'UID'],
  ['0.9.2342.19200300.100.1.25', 'DC'],
  ['1.2.840.113549.1.9.1', 'emailAddress'],
  ['1.2.840.113549.1.9.2', 'unstructuredName'],
  ['1.3.6.1.4.1.311.60.2.1.1', 'jurisdictionL'],
  ['1.3.6.1.4.1.311.60.2.1.2', 'jurisdictionST'],
  ['1.3.6.1.4.1.311.60.2.1.3', 'jurisdictionC'],
])

export function distinguishedName(name: Der): string {
  const parts: string[] = []
  while (name.expect(SET) && parts.length < PARTS_MAX) {
    const set = name.inside()
    const values: string[] = []
    while (set.expect(SEQUENCE) && values.length < PARTS_MAX) {
      const pair = set.inside()
      if (!pair.expect(OID)) break
      const id = objectIdentifier(pair.bytes, pair.from, pair.to)
      if (!pair.next()) break
      values.push(`${ATTRIBUTES.get(id) ?? id}=${value(pair)}`)
    }
    if (values.length > 0) parts.push(values.join('+'))
  }
  return parts.reverse().join(',').slice(0, NAME_CHARS_MAX)
}

function value(der: Der): string {
  const { bytes, tag, from, to } = der
  const end = Math.min(to, from + NAME_CHARS_MAX)
  switch (tag) {
    case 0x0c:
      return escaped(bytes.toString('utf8', from, end))
    case 0x12:
    case 0x13:
    case 0x14:
    case 0x16:
    case 0x1a:
      return escaped(bytes.toString('latin1', from, end))
    case 0x1c:
    case 0x1e:
      return escaped(wide(bytes, from, end, tag === 0x1e ? 2 : 4))
    default:
      return `#${bytes.toString('hex', from, end)}`
  }
}

/** BMPString and UniversalString: two or four bytes per character, the high one first. */
function wide(bytes: Buffer, from: number, to: number, size: number): string {
  let text = ''
  for (let at = from; at + size <= to; at += size) {
    const code = size === 2 ? bytes.readUInt16BE(at) : bytes.readUInt32BE(at)
    text += code > 0x10ffff ? '\ufffd' : String.fromCodePoint(code)
  }
  return text
}

/** RFC 4514 section 2.4; control characters as their number, so that a name stays one line. */
function escaped(text: string): string {
  const inner = text.replace(/[\\,+"<>;]/g, '\\$&').replace(/\p{Cc}/gu, hexEscape)
  return inner.replace(/^[ #]/, '\\$&').replace(/ $/, '\\ ')
}

function hexEscape(char: string): string {
  return `\\${char.charCodeAt(0).toString(16).padStart(2, '0').toUpperCase()}`
}
