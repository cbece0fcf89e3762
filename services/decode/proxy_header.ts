/**
 * What load balancers put in front of a connection to say whose it is (HAProxy's doc/proxy-protocol.txt, version 1 and 2). It
 * belongs to no protocol: whatever follows begins behind it.
 *
 *     "PROXY TCP4 198.51.100.7 10.0.0.9 40000 443\r\n", at most 107 bytes
 *     "\r\n\r\n\0\r\nQUIT\n", version and command, family, length (16), as many bytes
 */
const TEXT = Buffer.from('PROXY ', 'latin1')
const TEXT_BYTES_MAX = 107
const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
const FIXED_BYTES = 16
/** Addresses and what is added to them fit several times over. */
const ADDED_BYTES_MAX = 2048
const KINDS = /^PROXY (?:TCP4|TCP6|UNKNOWN)[ \r]/

/** `bytes` are too few to say. */
export const UNDECIDED_HEADER = -1

/** Length of the header that these bytes begin with; 0 = they begin with none. */
export function proxyHeaderBytes(bytes: Buffer, from: number, to: number): number {
  if (begins(bytes, from, to, TEXT)) return textBytes(bytes, from, to)
  if (!begins(bytes, from, to, SIGNATURE)) return 0
  if (to - from < FIXED_BYTES) return UNDECIDED_HEADER
  const added = bytes.readUInt16BE(from + FIXED_BYTES - 2)
  if (bytes[from + SIGNATURE.length] >> 4 !== 2 || added > ADDED_BYTES_MAX) return 0
  return to - from < FIXED_BYTES + added ? UNDECIDED_HEADER : FIXED_BYTES + added
}

/** As far as they are here. */
function begins(bytes: Buffer, from: number, to: number, with_: Buffer): boolean {
  const size = Math.min(to - from, with_.length)
  return bytes.compare(with_, 0, size, from, from + size) === 0
}

function textBytes(bytes: Buffer, from: number, to: number): number {
  const end = Math.min(to, from + TEXT_BYTES_MAX)
  for (let at = from + TEXT.length; at + 1 < end; at++) {
    if (bytes[at] !== 0x0d || bytes[at + 1] !== 0x0a) continue
    return KINDS.test(bytes.toString('latin1', from, at + 1)) ? at + 2 - from : 0
  }
  return to - from < TEXT_BYTES_MAX ? UNDECIDED_HEADER : 0
}
