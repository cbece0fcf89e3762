/** Header fields that mean something to us, told apart once, where their name is read: what is indexed later carries it along. */

export const FieldKind = {
  OTHER: 0,
  /** Of no meaning here, but a pseudo-header field: it stands before all others. */
  PSEUDO: 1,
  METHOD: 2,
  PATH: 3,
  AUTHORITY: 4,
  STATUS: 5,
  CONNECT_PROTOCOL: 6,
  HOST: 7,
  USER_AGENT: 8,
  CONTENT_TYPE: 9,
  AUTHORIZATION: 10,
  FORWARDED_FOR: 11,
  REQUEST_ID: 12,
  CORRELATION: 13,
  GRPC_STATUS: 14,
  GRPC_MESSAGE: 15,
  GRPC_TIMEOUT: 16,
  GRPC_ENCODING: 17,
} as const

const KINDS: ReadonlyMap<string, number> = new Map([
  [':method', FieldKind.METHOD],
  [':path', FieldKind.PATH],
  [':authority', FieldKind.AUTHORITY],
  [':status', FieldKind.STATUS],
  [':protocol', FieldKind.CONNECT_PROTOCOL],
  ['host', FieldKind.HOST],
  ['user-agent', FieldKind.USER_AGENT],
  ['content-type', FieldKind.CONTENT_TYPE],
  ['authorization', FieldKind.AUTHORIZATION],
  ['x-forwarded-for', FieldKind.FORWARDED_FOR],
  ['x-request-id', FieldKind.REQUEST_ID],
  ['traceparent', FieldKind.CORRELATION],
  ['b3', FieldKind.CORRELATION],
  ['x-b3-traceid', FieldKind.CORRELATION],
  ['x-b3-spanid', FieldKind.CORRELATION],
  ['uber-trace-id', FieldKind.CORRELATION],
  ['sw8', FieldKind.CORRELATION],
  ['x-correlation-id', FieldKind.CORRELATION],
  ['request-id', FieldKind.CORRELATION],
  ['x-amzn-trace-id', FieldKind.CORRELATION],
  ['grpc-status', FieldKind.GRPC_STATUS],
  ['grpc-message', FieldKind.GRPC_MESSAGE],
  ['grpc-timeout', FieldKind.GRPC_TIMEOUT],
  ['grpc-encoding', FieldKind.GRPC_ENCODING],
])

export function kindOf(name: string): number {
  return KINDS.get(name) ?? (name.charCodeAt(0) === COLON ? FieldKind.PSEUDO : FieldKind.OTHER)
}

const COLON = 58
