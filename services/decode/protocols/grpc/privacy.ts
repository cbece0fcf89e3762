import type { Privacy } from '../../../core/protocol.js'
import { HTTP_PRIVACY } from '../http_semantics/privacy.js'

/** Names, counts and sizes of a call; its message may quote what was asked. */
export const GRPC_PRIVACY: Privacy = {
  maskResource: HTTP_PRIVACY.maskResource,
  attrsKept: new Set([
    ...HTTP_PRIVACY.attrsKept,
    'rpc.system',
    'rpc.service',
    'rpc.method',
    'rpc.grpc.status_code',
    'rpc.grpc.timeout',
    'rpc.grpc.request.encoding',
    'rpc.grpc.request.messages',
    'rpc.grpc.request.bytes',
    'rpc.grpc.request.compressed',
    'rpc.grpc.response.messages',
    'rpc.grpc.response.bytes',
    'rpc.grpc.response.compressed',
  ]),
}
