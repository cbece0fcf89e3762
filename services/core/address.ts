/** IP addresses between their bytes (4 or 16, network order) and their one text form. */

/** IPv4 dotted; IPv6 as RFC 5952; v4-mapped IPv6 (`::ffff:a.b.c.d`) as IPv4, since it is the same peer; `''` for 0 bytes. */
export function addressToText(bytes: Uint8Array, from = 0, size = bytes.length - from): string {
  if (size === 4) return `${bytes[from]}.${bytes[from + 1]}.${bytes[from + 2]}.${bytes[from + 3]}`
  if (size !== 16) return ''
  const words: number[] = []
  for (let i = 0; i < 16; i += 2) words.push((bytes[from + i] << 8) | bytes[from + i + 1])
  if (words[5] === 0xffff && words.slice(0, 5).every((word) => word === 0)) return addressToText(bytes, from + 12, 4)
  // RFC 5952 section 4.2: the longest run of at least two zero words, the first of equals, becomes '::'.
  let runStart = -1
  let runSize = 1
  for (let i = 0; i < 8; ) {
    let end = i
    while (end < 8 && words[end] === 0) end++
    if (end - i > runSize) {
      runStart = i
      runSize = end - i
    }
    i = end + 1
  }
  const text = (part: number[]) => part.map((word) => word.toString(16)).join(':')
  if (runStart < 0) return text(words)
  return `${text(words.slice(0, runStart))}::${text(words.slice(runStart + runSize))}`
}

/** Words between single or double colons. */
const COLON_FORM = /^(::)?([0-9a-f]{1,4}(::?(?=[0-9a-f])|::$|$))*$/i

/** The inverse of `addressToText`; no bytes for text that is no address. */
export function addressToBytes(text: string): Buffer {
  if (text === '') return Buffer.alloc(0)
  if (!text.includes(':')) {
    const address = v4Number(text)
    if (address < 0) return Buffer.alloc(0)
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(address)
    return bytes
  }
  // RFC 4291 section 2.2: the last four bytes may be written as IPv4.
  const dotted = /^(.*:)([\d.]+)$/.exec(text)
  if (dotted?.[2].includes('.')) {
    const last = addressToBytes(dotted[2])
    if (last.length !== 4) return Buffer.alloc(0)
    return addressToBytes(`${dotted[1]}${last.readUInt16BE(0).toString(16)}:${last.readUInt16BE(2).toString(16)}`)
  }
  if (!COLON_FORM.test(text)) return Buffer.alloc(0)
  const [left, right, third] = text.split('::')
  if (third !== undefined) return Buffer.alloc(0)
  const words = (part: string | undefined) => (part ? part.split(':').map((word) => Number.parseInt(word, 16)) : [])
  const head = words(left)
  const tail = right === undefined ? [] : words(right)
  const zeros = 8 - head.length - tail.length
  // '::' stands for one zero word at least.
  if (zeros < (right === undefined ? 0 : 1) || (right === undefined && zeros !== 0)) return Buffer.alloc(0)
  const bytes = Buffer.alloc(16)
  for (const [i, word] of [...head, ...new Array<number>(zeros).fill(0), ...tail].entries()) {
    bytes.writeUInt16BE(word, i * 2)
  }
  return bytes
}

/**
 * Routed in the internet: not private (RFC 1918, RFC 6598, RFC 4193), loopback, link-local, multicast, for documentation or
 * reserved. False for what is no address.
 */
export function isPublicAddress(text: string): boolean {
  const v4 = v4Number(text)
  if (v4 >= 0) return isPublicV4(v4)
  const bytes = addressToBytes(text)
  if (bytes.length === 4) return isPublicV4(bytes.readUInt32BE())
  // Global unicast is 2000::/3; 2001:db8::/32 is for documentation.
  return bytes.length === 16 && bytes[0] >> 5 === 1 && bytes.readUInt32BE(0) !== 0x20010db8
}

function isPublicV4(address: number): boolean {
  const [a, b, c] = [address >>> 24, (address >>> 16) & 255, (address >>> 8) & 255]
  if (a === 0 || a === 10 || a === 127 || a >= 224) return false
  if (a === 100) return b < 64 || b > 127
  if (a === 169) return b !== 254
  if (a === 172) return b < 16 || b > 31
  if (a === 192) return b !== 168 && !(b === 0 && (c === 0 || c === 2))
  if (a === 198) return b !== 18 && b !== 19 && !(b === 51 && c === 100)
  return !(a === 203 && b === 0 && c === 113)
}

const DOT = 46
const ZERO = 48

/** Of a dotted address its 32 bits, 0 to 2^32 - 1; -1 for other texts. Without an allocation: it is asked for every flow. */
export function v4Number(text: string): number {
  let address = 0
  let part = -1
  let parts = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === DOT) {
      if (part < 0 || ++parts > 3) return -1
      address = address * 256 + part
      part = -1
      continue
    }
    const digit = code - ZERO
    if (digit < 0 || digit > 9) return -1
    part = part < 0 ? digit : part * 10 + digit
    if (part > 255) return -1
  }
  return parts === 3 && part >= 0 ? address * 256 + part : -1
}
