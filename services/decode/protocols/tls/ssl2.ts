/**
 * Hellos in the form of SSL 2.0, which old clients send although they speak later versions (RFC 5246 appendix E.2):
 *
 *     client hello = length(2, first bit set) 1 version(2) ciphers_length(2) id_length(2) challenge_length(2)
 *                    ciphers(3 each) id challenge
 *     server hello = length(2, first bit set) 4 id_hit(1) certificate_type(1) version(2) certificate_length(2)
 *                    ciphers_length(2) id_length(2) certificate ciphers id
 */

/** Up to the lengths, of either hello. */
export const OLD_HEADER_BYTES = 13

const CLIENT_HELLO = 1
const SERVER_HELLO = 4

function sizeAt(bytes: Buffer, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1]
}

/** Bytes of the whole hello with its length in front. */
export function oldHelloBytes(bytes: Buffer, at: number): number {
  return 2 + (((bytes[at] & 0x7f) << 8) | bytes[at + 1])
}

/** A hello whose lengths add up; OLD_HEADER_BYTES are there. */
export function isOldHello(bytes: Buffer, at: number, end: number): boolean {
  return isOldClientHello(bytes, at, end) || isOldServerHello(bytes, at)
}

export function isOldClientHello(bytes: Buffer, at: number, end: number): boolean {
  if (end - at < 11 || (bytes[at] & 0x80) === 0 || bytes[at + 2] !== CLIENT_HELLO) return false
  const version = sizeAt(bytes, at + 3)
  if (version !== 2 && (version < 0x300 || version > 0x303)) return false
  const [ciphers, id, challenge] = [sizeAt(bytes, at + 5), sizeAt(bytes, at + 7), sizeAt(bytes, at + 9)]
  if (ciphers === 0 || ciphers % 3 !== 0 || (id !== 0 && id !== 16) || challenge < 16 || challenge > 32) return false
  return oldHelloBytes(bytes, at) === 11 + ciphers + id + challenge
}

export function isOldServerHello(bytes: Buffer, at: number): boolean {
  if ((bytes[at] & 0x80) === 0 || bytes[at + 2] !== SERVER_HELLO || bytes[at + 3] > 1 || sizeAt(bytes, at + 5) !== 2)
    return false
  const [certificate, ciphers, id] = [sizeAt(bytes, at + 7), sizeAt(bytes, at + 9), sizeAt(bytes, at + 11)]
  return ciphers % 3 === 0 && id <= 32 && oldHelloBytes(bytes, at) === OLD_HEADER_BYTES + certificate + ciphers + id
}

/** Version of a client hello: SSL 2.0, or the highest that the client speaks. */
export function oldClientVersion(bytes: Buffer, at: number): number {
  return sizeAt(bytes, at + 3)
}

/** The certificate within a server hello; null where there is none or its end is not here. */
export function oldServerCertificate(bytes: Buffer, at: number, end: number): Buffer | null {
  const size = sizeAt(bytes, at + 7)
  const from = at + OLD_HEADER_BYTES
  return size === 0 || from + size > end ? null : bytes.subarray(from, from + size)
}
