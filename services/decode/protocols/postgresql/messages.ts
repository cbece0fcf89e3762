/**
 * Messages of the frontend/backend protocol 3.x (PostgreSQL manual, chapter "Frontend/Backend Protocol"):
 *
 *   message = type:byte length:int32 body      length counts itself and the body
 *   startup = length:int32 code:int32 body     the client's first: no type, so its first byte is 0
 *
 * Some letters mean one thing from the client and another from the server.
 */

/** From the client. */
export const BIND = 0x42
export const CLOSE = 0x43
export const DESCRIBE = 0x44
export const EXECUTE = 0x45
export const FUNCTION_CALL = 0x46
export const FLUSH = 0x48
export const PARSE = 0x50
export const QUERY = 0x51
export const SYNC = 0x53
export const TERMINATE = 0x58
export const COPY_FAIL = 0x66
export const PASSWORD = 0x70

/** From both. */
export const COPY_DATA = 0x64
export const COPY_DONE = 0x63

/** From the server. */
export const PARSE_COMPLETE = 0x31
export const BIND_COMPLETE = 0x32
export const CLOSE_COMPLETE = 0x33
export const NOTIFICATION = 0x41
export const COMMAND_COMPLETE = 0x43
export const DATA_ROW = 0x44
export const ERROR = 0x45
export const COPY_IN = 0x47
export const COPY_OUT = 0x48
export const EMPTY_QUERY = 0x49
export const BACKEND_KEY = 0x4b
export const NOTICE = 0x4e
export const AUTHENTICATION = 0x52
export const PARAMETER_STATUS = 0x53
export const ROW_DESCRIPTION = 0x54
export const FUNCTION_RESPONSE = 0x56
export const COPY_BOTH = 0x57
export const READY = 0x5a
export const NO_DATA = 0x6e
export const SUSPENDED = 0x73
export const PARAMETER_DESCRIPTION = 0x74
export const NEGOTIATE = 0x76

/** Codes of startup packets. */
export const SSL_REQUEST = 80_877_103
export const GSSENC_REQUEST = 80_877_104
export const CANCEL_REQUEST = 80_877_102
export const PROTOCOL_MAJOR = 3

/** `MAX_STARTUP_PACKET_LENGTH` of the server. */
export const STARTUP_BYTES_MAX = 10_000
export const HEADER_BYTES = 5
/** `PQ_LARGE_MESSAGE_LIMIT` of the server: memory allocations end below 1 GiB. */
const LENGTH_MAX = 0x3fffffff
/** `PQ_SMALL_MESSAGE_LIMIT`: what only names something is not longer. */
const SMALL_MAX = 10_000

/** Least and greatest length field per type; 0 = no such message. */
const CLIENT_MIN = new Int32Array(256)
const CLIENT_MAX = new Int32Array(256)
const SERVER_MIN = new Int32Array(256)
const SERVER_MAX = new Int32Array(256)

function bounds(min: Int32Array, max: Int32Array, rows: readonly (readonly [number, number, number])[]): void {
  for (const [type, least, most] of rows) {
    min[type] = least
    max[type] = most
  }
}

bounds(CLIENT_MIN, CLIENT_MAX, [
  [BIND, 12, LENGTH_MAX],
  [CLOSE, 6, SMALL_MAX],
  [DESCRIBE, 6, SMALL_MAX],
  [EXECUTE, 9, SMALL_MAX],
  [FUNCTION_CALL, 14, LENGTH_MAX],
  [FLUSH, 4, 4],
  [PARSE, 8, LENGTH_MAX],
  [QUERY, 5, LENGTH_MAX],
  [SYNC, 4, 4],
  [TERMINATE, 4, 4],
  [COPY_FAIL, 5, SMALL_MAX],
  [PASSWORD, 4, 65_540],
  [COPY_DATA, 4, LENGTH_MAX],
  [COPY_DONE, 4, 4],
])

bounds(SERVER_MIN, SERVER_MAX, [
  [PARSE_COMPLETE, 4, 4],
  [BIND_COMPLETE, 4, 4],
  [CLOSE_COMPLETE, 4, 4],
  [NOTIFICATION, 10, SMALL_MAX],
  [COMMAND_COMPLETE, 5, 1024],
  [DATA_ROW, 6, LENGTH_MAX],
  [ERROR, 5, LENGTH_MAX],
  [COPY_IN, 7, SMALL_MAX],
  [COPY_OUT, 7, SMALL_MAX],
  [COPY_BOTH, 7, SMALL_MAX],
  [EMPTY_QUERY, 4, 4],
  [BACKEND_KEY, 12, 264],
  [NOTICE, 5, LENGTH_MAX],
  [AUTHENTICATION, 8, 65_540],
  [PARAMETER_STATUS, 6, SMALL_MAX],
  [ROW_DESCRIPTION, 6, 1 << 20],
  [FUNCTION_RESPONSE, 8, LENGTH_MAX],
  [READY, 5, 5],
  [NO_DATA, 4, 4],
  [SUSPENDED, 4, 4],
  [PARAMETER_DESCRIPTION, 6, 4 * 65_535 + 6],
  [NEGOTIATE, 12, SMALL_MAX],
  [COPY_DATA, 4, LENGTH_MAX],
  [COPY_DONE, 4, 4],
])

/** By first byte: 0 where no message of this end begins so. */
export function typesOf(server: boolean): Readonly<ArrayLike<number>> {
  return server ? SERVER_MIN : CLIENT_MIN
}

/** Could a message of this type have this length? */
export function lengthFits(server: boolean, type: number, length: number): boolean {
  const min = (server ? SERVER_MIN : CLIENT_MIN)[type]
  return min !== 0 && length >= min && length <= (server ? SERVER_MAX : CLIENT_MAX)[type]
}

export function int32(bytes: Buffer, at: number): number {
  return (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]
}

export function int16(bytes: Buffer, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1]
}

const NEAR_BYTES = 24

/** Offset of the next NUL in [from, to), or -1. */
export function nul(bytes: Buffer, from: number, to: number): number {
  // Names are short; a text is searched by the machine.
  const near = Math.min(to, from + NEAR_BYTES)
  for (let at = from; at < near; at++) if (bytes[at] === 0) return at
  if (near === to) return -1
  const at = bytes.indexOf(0, near)
  return at < 0 || at >= to ? -1 : at
}
