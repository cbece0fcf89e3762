/** What of a flow may be kept. Applied before a row leaves the decoder: what is masked here is stored nowhere. */
import { createHmac } from 'node:crypto'
import { KlartextError } from '../core/errors.js'
import type { Flow } from '../core/flow.js'

/** `metadata`: all columns, but no header values beyond the list, query values masked. `full`: everything. */
export type PolicyLevel = 'metadata' | 'full'

export interface PolicyConfig {
  readonly level: PolicyLevel
  /** Header names whose values `metadata` keeps. */
  readonly headers: readonly string[]
  /** Key of the hash that stands for a user or credential; the same key makes rows of several nodes comparable. */
  readonly principalKey: string
}

const HEADERS_KEPT: readonly string[] = [
  'accept',
  'accept-encoding',
  'accept-language',
  'cache-control',
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'date',
  'host',
  'server',
  'transfer-encoding',
  'upgrade',
  'user-agent',
  'vary',
  'via',
]

/** Never kept by value, whatever the policy lists. */
const CREDENTIAL_HEADERS = new Set([
  'authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
  'x-api-key',
  'x-auth-token',
])

const PRINCIPAL_CACHE_MAX = 4096

export function defaultPolicy(level: PolicyLevel): PolicyConfig {
  return { level, headers: HEADERS_KEPT, principalKey: 'klartext' }
}

/** Reads the JSON of a policy file; `name` is what messages call it. */
export function parsePolicy(text: string, name: string): PolicyConfig {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new KlartextError('BAD_POLICY', `${name}: not JSON: ${(error as Error).message}`)
  }
  const fail = (what: string) => new KlartextError('BAD_POLICY', `${name}: ${what}`)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw fail('not a JSON object')
  const fields = value as Record<string, unknown>
  const base = defaultPolicy('metadata')
  for (const key of Object.keys(fields)) {
    if (!(key in base)) throw fail(`unknown key "${key}"; known: ${Object.keys(base).join(', ')}`)
  }
  const { level = base.level, headers = base.headers, principalKey = base.principalKey } = fields
  if (level !== 'metadata' && level !== 'full') throw fail('"level" must be "metadata" or "full"')
  if (!Array.isArray(headers) || !headers.every((header) => typeof header === 'string')) {
    throw fail('"headers" must be a list of header names')
  }
  if (typeof principalKey !== 'string' || principalKey === '') throw fail('"principalKey" must be a text')
  return { level, headers: headers.map((header: string) => header.toLowerCase()), principalKey }
}

export class FlowPolicy {
  readonly #config: PolicyConfig
  readonly #headersKept: ReadonlySet<string>
  readonly #principals = new Map<string, string>()

  constructor(config: PolicyConfig) {
    this.#config = config
    this.#headersKept = new Set(config.headers.filter((header) => !CREDENTIAL_HEADERS.has(header)))
  }

  apply(flow: Flow): void {
    if (flow.principal !== '') flow.principal = this.#hash(flow.principal)
    if (this.#config.level === 'full') return
    const redactions: string[] = []
    const masked = maskQuery(flow.resource)
    if (masked !== flow.resource) {
      flow.resource = masked
      redactions.push('resource.query')
    }
    flow.req_headers = this.#keep(flow.req_headers, redactions, 'req_headers')
    flow.resp_headers = this.#keep(flow.resp_headers, redactions, 'resp_headers')
    if (redactions.length > 0) flow.redactions = redactions
  }

  #keep(headers: Record<string, string>, redactions: string[], column: string): Record<string, string> {
    let dropped = false
    const kept: Record<string, string> = {}
    for (const name in headers) {
      if (this.#headersKept.has(name)) kept[name] = headers[name]
      else dropped = true
    }
    if (dropped) redactions.push(column)
    return kept
  }

  #hash(principal: string): string {
    let hash = this.#principals.get(principal)
    if (hash === undefined) {
      hash = createHmac('sha256', this.#config.principalKey).update(principal).digest('hex').slice(0, 32)
      if (this.#principals.size >= PRINCIPAL_CACHE_MAX) this.#principals.clear()
      this.#principals.set(principal, hash)
    }
    return hash
  }
}

/** `/a?user=bob&flag` -> `/a?user=***&flag`: names stay, since they tell the shape of a call; values go. User info too. */
export function maskQuery(target: string): string {
  const bare = target.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@?#]*@/i, '$1***@')
  const at = bare.indexOf('?')
  if (at < 0) return bare
  const query = bare.slice(at + 1)
  return `${bare.slice(0, at + 1)}${query.replace(/=[^&;#]*/g, '=***')}`
}
