/**
 * Domain names on the wire (RFC 1035 section 4.1.4): labels of up to 63 bytes, ended by an empty one or by a pointer to a
 * place earlier in the message. Every pointer must point before where the last one pointed, so that no loop is possible.
 */

/** RFC 1035 section 2.3.4. */
const NAME_BYTES_MAX = 255

/** Of the name read last. */
export const read = { name: '', next: 0 }

/** A plain name is put together here and becomes a string at once. */
const scratch = Buffer.alloc(NAME_BYTES_MAX + 1)

/** Reads the name at `at` of the message that lies between `from` and `end`; false if it is none. The root is `.`. */
export function readName(bytes: Buffer, from: number, at: number, end: number): boolean {
  let size = 0
  let i = at
  let next = -1
  let lowest = at
  let plain = true
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
    const labelEnd = i + 1 + byte
    if (byte > 63 || labelEnd > end || size + byte + 1 >= NAME_BYTES_MAX) return false
    for (let j = i + 1; j < labelEnd; j++) {
      const code = bytes[j]
      if (code <= 32 || code === 46 || code === 92 || code >= 127) plain = false
      scratch[size++] = code
    }
    scratch[size++] = 46
    i = labelEnd
  }
  read.name = size === 0 ? '.' : plain ? scratch.toString('latin1', 0, size - 1) : readOddName(bytes, from, at)
  read.next = next < 0 ? i + 1 : next
  return true
}

/** Offset behind the name at `at`, -1 if it is none. What it points to is not looked at. */
export function skipName(bytes: Buffer, from: number, at: number, end: number): number {
  for (let i = at; i < end; ) {
    const byte = bytes[i]
    if (byte === 0) return i + 1
    if (byte >= 0xc0) {
      if (i + 1 >= end) return -1
      return from + (((byte & 0x3f) << 8) | bytes[i + 1]) < at ? i + 2 : -1
    }
    if (byte > 63) return -1
    i += byte + 1
    if (i - at >= NAME_BYTES_MAX) return -1
  }
  return -1
}

/** A name that is known to be one, with bytes in it that need a form of their own. */
function readOddName(bytes: Buffer, from: number, at: number): string {
  const labels: string[] = []
  for (let i = at; bytes[i] !== 0; ) {
    const byte = bytes[i]
    if (byte >= 0xc0) i = from + (((byte & 0x3f) << 8) | bytes[i + 1])
    else {
      labels.push(readLabel(bytes, i + 1, i + 1 + byte))
      i += byte + 1
    }
  }
  return labels.join('.')
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
