/**
 * Domain names on the wire (RFC 1035 section 4.1.4): labels of up to 63 bytes, ended by an empty one or by a pointer to a
 * place earlier in the message. Every pointer must point before where the last one pointed, so that no loop is possible.
 */

/** RFC 1035 section 2.3.4. */
const NAME_BYTES_MAX = 255

/** Of the name read last. */
export const read = { name: '', next: 0 }

/** Reads the name at `at` of the message that lies between `from` and `end`; false if it is none. The root is `.`. */
export function readName(bytes: Buffer, from: number, at: number, end: number): boolean {
  let name = ''
  let size = 0
  let i = at
  let next = -1
  let lowest = at
  for (;;) {
    if (i >= end) return false
    const byte = bytes[i]
    if (byte === 0) break
    if (byte >= 0xc0) {
      if (i + 1 >= end) return false
      const target = from + (((byte & 0x3f) << 8) | bytes[i + 1])
      if (target >= lowest) return false
      if (next < 0) next = i + 2
      lowest = target
      i = target
      continue
    }
    if (byte > 63 || i + 1 + byte > end) return false
    size += byte + 1
    if (size >= NAME_BYTES_MAX) return false
    const label = readLabel(bytes, i + 1, i + 1 + byte)
    name = name === '' ? label : `${name}.${label}`
    i += byte + 1
  }
  read.name = name === '' ? '.' : name
  read.next = next < 0 ? i + 1 : next
  return true
}

/** Bytes that are not printable, and dots, as in zone files: `\000`, `\.` (RFC 4343 section 2.1). UTF-8 of mDNS stays. */
function readLabel(bytes: Buffer, from: number, to: number): string {
  let plain = true
  let high = false
  for (let i = from; i < to; i++) {
    const byte = bytes[i]
    if (byte <= 32 || byte === 46 || byte === 92 || byte === 127) plain = false
    else if (byte > 127) high = true
  }
  if (plain) return bytes.toString(high ? 'utf8' : 'latin1', from, to)
  let label = ''
  for (let i = from; i < to; i++) {
    const byte = bytes[i]
    if (byte === 46 || byte === 92) label += `\\${String.fromCharCode(byte)}`
    else if (byte === 32) label += ' '
    else if (byte < 32 || byte >= 127) label += `\\${String(byte).padStart(3, '0')}`
    else label += String.fromCharCode(byte)
  }
  return label
}
