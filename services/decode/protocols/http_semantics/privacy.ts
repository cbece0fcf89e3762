/** What of an HTTP flow may stay in clear when only metadata is kept. */
import type { Privacy } from '../../../core/protocol.js'

/** `/a?user=bob&flag` -> `/a?user=***&flag`: names stay, since they tell the shape of a call; values go. User info too. */
export function maskQuery(target: string): string {
  const bare = target.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@?#]*@/i, '$1***@')
  const at = bare.indexOf('?')
  if (at < 0) return bare
  const query = bare.slice(at + 1)
  return `${bare.slice(0, at + 1)}${query.replace(/=[^&;#]*/g, '=***')}`
}

export const HTTP_PRIVACY: Privacy = {
  maskResource: maskQuery,
  attrsKept: new Set([
    'client.address',
    'http.request.header.upgrade',
    'http.response.interim_status_codes',
    'http.response.status_code',
  ]),
}
