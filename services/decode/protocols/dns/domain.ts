/** The registered domain of a name: what belongs to one owner, by the public suffix list. */
import { registeredDomainOf } from '../../../core/public_suffix.js'

const CACHE_MAX = 8192
const cache = new Map<string, string>()

/** `a.b.example.co.uk` -> `example.co.uk`; addresses give `in-addr.arpa`; names without a suffix stay as they are. */
export function registeredDomain(name: string): string {
  let domain = cache.get(name)
  if (domain === undefined) {
    domain = find(name.toLowerCase())
    if (cache.size >= CACHE_MAX) cache.clear()
    cache.set(name, domain)
  }
  return domain
}

function find(name: string): string {
  if (name.endsWith('.in-addr.arpa')) return 'in-addr.arpa'
  if (name.endsWith('.ip6.arpa')) return 'ip6.arpa'
  if (name.endsWith('.cluster.local')) return 'cluster.local'
  if (name.endsWith('.local')) return 'local'
  return registeredDomainOf(name) ?? name
}
