/** A statement with its values taken out and everything else as written: `WHERE name = 'x'` -> `WHERE name = ?`. */
import { type Dialect, END, LITERAL, Scanner } from './scanner.js'

const scanner = new Scanner()
const CACHE_MAX = 2048
/** Longer texts hold values and do not come again. */
const CACHED_CHARS_MAX = 1024
const cache = new Map<string, string>()

/** Comments go too: they hold user names, hosts and request ids. Parameters (`$1`) stay, they hold nothing. */
export function maskStatement(text: string, dialect: Dialect): string {
  const key = dialect === 'pgsql' ? text : `${dialect} ${text}`
  let masked = cache.get(key)
  if (masked === undefined) {
    masked = mask(text, dialect)
    if (cache.size >= CACHE_MAX) cache.clear()
    if (text.length <= CACHED_CHARS_MAX) cache.set(key, masked)
  }
  return masked
}

function mask(text: string, dialect: Dialect): string {
  let out = ''
  let end = 0
  scanner.start(text, dialect)
  for (let kind = scanner.next(); kind !== END; kind = scanner.next()) {
    const { from, to } = scanner
    if (from > end) {
      const between = text.slice(end, from)
      out += between.trim() === '' ? between : ' '
    }
    out += kind === LITERAL ? '?' : text.slice(from, to)
    end = to
  }
  const rest = text.slice(end)
  return rest.trim() === '' ? out + rest : out
}
