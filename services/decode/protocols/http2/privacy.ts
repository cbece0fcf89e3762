import type { Privacy } from '../../../core/protocol.js'
import { GRPC_PRIVACY } from '../grpc/privacy.js'
import { HTTP_PRIVACY } from '../http_semantics/privacy.js'

const NAMES = ['http2.stream_id', 'http2.pushed', 'http2.connect_protocol']

const withNames = (privacy: Privacy): Privacy => ({
  ...privacy,
  attrsKept: new Set([...privacy.attrsKept, ...NAMES]),
})

export const HTTP2_PRIVACY: Privacy = withNames(HTTP_PRIVACY)
export const GRPC_HTTP2_PRIVACY: Privacy = withNames(GRPC_PRIVACY)
