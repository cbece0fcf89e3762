/** What of a flow may be kept. Applied before a row leaves the decoder: what is masked here is stored nowhere. */
import { createHmac } from 'node:crypto'
import { KlartextError } from '../core/errors.js'
import type { HeaderList } from '../core/exchange.js'
import type { Flow } from '../core/flow.js'
import type { Privacy } from '../core/protocol.js'
import { PROTOCOLS } from './protocols/registry.js'

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

/** What each protocol says of its own flows. */
const PRIVACY = new Map<string, Privacy>(PROTOCOLS.flatMap((protocol) => Object.entries(protocol.privacy)))
const NO_NAMES: ReadonlySet<string> = new Set()

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
  #lastPrincipal = ''
  #lastHash = ''

  constructor(config: PolicyConfig) {
    this.#config = config
    this.#headersKept = new Set(config.headers.filter((header) => !CREDENTIAL_HEADERS.has(header)))
  }

  apply(flow: Flow): void {
    if (flow.principal !== '') flow.principal = this.#hash(flow.principal)
    if (this.#config.level === 'full') return
    const redactions: string[] = []
    const privacy = PRIVACY.get(flow.protocol)
    const masked = privacy === undefined ? '' : privacy.maskResource(flow.resource)
    if (masked !== flow.resource) {
      flow.resource = masked
      redactions.push('resource')
    }
    flow.attrs = keep(flow.attrs, privacy?.attrsKept ?? NO_NAMES, redactions, 'attrs')
    flow.req_headers = keepPairs(flow.req_headers, this.#headersKept, redactions, 'req_headers')
    flow.resp_headers = keepPairs(flow.resp_headers, this.#headersKept, redactions, 'resp_headers')
    if (redactions.length > 0) flow.redactions = redactions
  }

  #hash(principal: string): string {
    if (principal !== this.#lastPrincipal) {
      this.#lastHash = this.#hashOf(principal)
      this.#lastPrincipal = principal
    }
    return this.#lastHash
  }

  #hashOf(principal: string): string {
    let hash = this.#principals.get(principal)
    if (hash === undefined) {
      hash = createHmac('sha256', this.#config.principalKey).update(principal).digest('hex').slice(0, 32)
      if (this.#principals.size >= PRINCIPAL_CACHE_MAX) this.#principals.clear()
      this.#principals.set(principal, hash)
    }
    return hash
  }
}

function keep(
  values: Record<string, string>,
  names: ReadonlySet<string>,
  redactions: string[],
  column: string,
): Record<string, string> {
  let dropped = false
  const kept: Record<string, string> = {}
  for (const name in values) {
    if (names.has(name)) kept[name] = values[name]
    else dropped = true
  }
  if (dropped) redactions.push(column)
  return kept
}

function keepPairs(pairs: HeaderList, names: ReadonlySet<string>, redactions: string[], column: string): HeaderList {
  const kept: string[] = []
  for (let i = 0; i < pairs.length; i += 2) if (names.has(pairs[i])) kept.push(pairs[i], pairs[i + 1])
  if (kept.length === pairs.length) return pairs
  redactions.push(column)
  return kept
}
