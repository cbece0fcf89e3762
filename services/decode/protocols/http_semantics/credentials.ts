/** Who an Authorization field speaks for. The answer is still in clear: the host hashes it before it reaches a row. */

/** Credentials repeat on every request of a client: what each says is worked out once. */
const MEMO_MAX = 1024
const memo = new Map<string, string>()

/**
 * Basic and Digest: the user name. Bearer with a JWT (RFC 7519): its subject. AWS Signature 4: the access key id. Otherwise
 * the credential itself, whose hash tells callers apart until it is renewed.
 */
export function principalOf(value: string): string {
  let principal = memo.get(value)
  if (principal === undefined) {
    principal = read(value)
    if (memo.size >= MEMO_MAX) memo.clear()
    memo.set(value, principal)
  }
  return principal
}

function read(value: string): string {
  const space = value.indexOf(' ')
  if (space < 0) return value
  const rest = value.slice(space + 1).trim()
  switch (value.slice(0, space).toLowerCase()) {
    case 'basic': {
      const decoded = Buffer.from(rest, 'base64').toString('utf8')
      const colon = decoded.indexOf(':')
      return colon < 0 ? decoded : decoded.slice(0, colon)
    }
    case 'digest':
      return /(?:^|[,\s])username="?([^",]*)/i.exec(rest)?.[1] ?? ''
    case 'bearer':
      return subjectOf(rest) ?? rest
    case 'aws4-hmac-sha256':
      return /Credential=([^/,\s]+)/i.exec(rest)?.[1] ?? rest
    default:
      return rest
  }
}

function subjectOf(token: string): string | null {
  const parts = token.split('.')
  if (parts.length !== 3) return null
  try {
    const claims: unknown = JSON.parse(Buffer.from(parts[1], 'base64url').toString('utf8'))
    const subject = typeof claims === 'object' && claims !== null ? (claims as { sub?: unknown }).sub : undefined
    return typeof subject === 'string' && subject !== '' ? subject : null
  } catch {
    return null
  }
}
