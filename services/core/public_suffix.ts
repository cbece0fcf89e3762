/** The public suffix list, as the library `tldts` has it. */
import { createRequire } from 'node:module'

// Imported, a CommonJS library is read twice and searched for what it exports: of this one's 200 kB that takes 30 ms at each start.
const { getDomain } = createRequire(import.meta.url)('tldts') as typeof import('tldts')

/** The suffix of a host name and the label before it; null where there is none. */
export function registeredDomainOf(name: string): string | null {
  return getDomain(name, { extractHostname: false, validateHostname: false })
}
