import type { Protocol } from '../../core/protocol.js'
import { dns } from './dns/dns.js'
import { http1 } from './http1/http1.js'
import { http2 } from './http2/http2.js'
import { postgresql } from './postgresql/postgresql.js'
import { redis } from './redis/redis.js'
import { tls } from './tls/tls.js'
import { websocket } from './websocket/websocket.js'

/** Every protocol that is decoded: a new one is its folder and one line here. */
export const PROTOCOLS: readonly Protocol[] = [dns, http1, http2, postgresql, redis, tls, websocket]
