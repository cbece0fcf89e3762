/** Path templates: the few shapes behind many targets, `/items/42` and `/items/43` -> `/items/{id}`. */

/** Deeper paths and longer templates are cut: an endpoint is a dimension to group by. */
const PARTS_MAX = 12
const ENDPOINT_CHARS_MAX = 200

/** Endpoints kept, by what their targets hash to; a power of two. Targets repeat them, and so no string is made. */
const KNOWN = 4096
/** A string kept may be a view of the whole target. */
const KNOWN_TARGET_CHARS_MAX = 512
const known = new Array<string>(KNOWN).fill('')

export function endpointOf(target: string): string {
  if (target === '' || target === '*') return target
  const from = pathStart(target)
  if (from < 0) return '/'
  scan(target, from)
  if (scanned.cut || target.length > KNOWN_TARGET_CHARS_MAX) return cutLong(built(target, from))
  const at = scanned.hash & (KNOWN - 1)
  if (!isKnown(known[at], target, from)) known[at] = cutLong(built(target, from))
  return known[at]
}

/** Behind scheme and authority of an absolute target; -1 where no path follows them. */
function pathStart(target: string): number {
  if (target.charCodeAt(0) === SLASH) return 0
  const scheme = target.indexOf('://')
  return scheme < 0 ? 0 : target.indexOf('/', scheme + 3)
}

const SLASH = 47
const QUESTION = 63
const HASH = 35
const SEMICOLON = 59

/** What `scan` has found: where the path ends, and the parts that something stands for. */
class Scanned {
  end = 0
  hash = 0
  /** More parts than are shown. */
  cut = false
  count = 0
  readonly froms: number[] = []
  readonly tos: number[] = []
  readonly placeholders: string[] = []
}

const scanned = new Scanned()

/** One look at each character. Query, fragment and parameters end the path. */
function scan(target: string, start: number): void {
  const { length } = target
  scanned.count = 0
  scanned.cut = false
  let hash = 0
  let partHash = 0
  let from = start
  let digits = 0
  let odd = 0
  let parts = 1
  for (let i = start; ; i++) {
    const code = i < length ? target.charCodeAt(i) : QUESTION
    const ends = code === QUESTION || code === HASH || code === SEMICOLON
    if (!ends && code !== SLASH) {
      partHash = (Math.imul(partHash, 31) + code) | 0
      if (code >= 48 && code <= 57) digits += 1
      else if (code === AT || code === PERCENT) odd += 1
      continue
    }
    if (digits + odd > 0) {
      const shown = digits === i - from ? '{id}' : placeholder(target.slice(from, i))
      if (shown !== '') {
        scanned.froms[scanned.count] = from
        scanned.tos[scanned.count] = i
        scanned.placeholders[scanned.count++] = shown
        partHash = shown.length
      }
    }
    hash = (Math.imul(hash, 31) + partHash) | 0
    if (ends || ++parts > PARTS_MAX) {
      scanned.end = i
      scanned.hash = hash ^ (hash >>> 15)
      scanned.cut = !ends
      return
    }
    from = i + 1
    partHash = 0
    digits = 0
    odd = 0
  }
}

function built(target: string, from: number): string {
  const { end, count, froms, tos, placeholders } = scanned
  let shown = ''
  let copied = from
  for (let i = 0; i < count; i++) {
    shown += target.slice(copied, froms[i]) + placeholders[i]
    copied = tos[i]
  }
  shown += target.slice(copied, end)
  return scanned.cut ? `${shown}/…` : shown
}

/** Is `endpoint` what `built` would answer? */
function isKnown(endpoint: string, target: string, from: number): boolean {
  const { end, count, froms, tos, placeholders } = scanned
  let at = 0
  let next = from
  for (let i = 0; i <= count; i++) {
    const to = i < count ? froms[i] : end
    if (endpoint.length - at < to - next) return false
    for (; next < to; next++, at++) if (endpoint.charCodeAt(at) !== target.charCodeAt(next)) return false
    if (i === count) break
    if (!endpoint.startsWith(placeholders[i], at)) return false
    at += placeholders[i].length
    next = tos[i]
  }
  return at === endpoint.length
}

function cutLong(text: string): string {
  return text.length <= ENDPOINT_CHARS_MAX ? text : `${text.slice(0, ENDPOINT_CHARS_MAX)}…`
}

const AT = 64
const PERCENT = 37

const HAS_DIGIT = /\d/
const UUID = /^[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}$/i
const NUMBER = /^\d+(?:[.,]\d+)?$/
const DATE = /^\d{4}-\d{2}(?:-\d{2})?(?:T[\d:.+Z-]+)?$/
const HEX = /^(?=.*\d)[0-9a-f]{8,}$/i
const HASHED_FILE = /^(.+?)[.-](?=[0-9a-z]*\d)[0-9a-z]{8,32}(\.[a-z0-9]{1,5}){1,2}$/i
const NUMBERED = /^([a-z]{1,12}[-_])\d{2,}$/i
const EMAIL = /^[^@\s]+(?:@|%40)[^@\s]+\.[a-z]{2,}$/i

/** What stands for a part with a digit, `@` or `%` in it; `''` = the part itself. */
function placeholder(part: string): string {
  const first = part.charCodeAt(0)
  if (part.length < 4 && (first < 48 || first > 57)) return ''
  if (first >= 48 && first <= 57 && NUMBER.test(part)) return '{id}'
  if (!HAS_DIGIT.test(part)) return EMAIL.test(part) ? '{email}' : ''
  if (UUID.test(part)) return '{uuid}'
  if (DATE.test(part)) return '{date}'
  if (HEX.test(part)) return '{hex}'
  if (EMAIL.test(part)) return '{email}'
  const numbered = NUMBERED.exec(part)
  if (numbered !== null) return `${numbered[1]}{id}`
  const file = HASHED_FILE.exec(part)
  if (file !== null) return `${file[1]}.{hash}${part.slice(part.lastIndexOf('.'))}`
  if (looksRandom(part)) return '{token}'
  return ''
}

/** Letters and digits mixed as in an id of base 62 or 64: long, and changing between classes often. */
function looksRandom(part: string): boolean {
  if (part.length < 16 || part.includes('.') || !/\d/.test(part) || !/^[A-Za-z0-9_=%+-]+$/.test(part)) return false
  let changes = 0
  for (let i = 1; i < part.length; i++) if (charClass(part, i) !== charClass(part, i - 1)) changes += 1
  return changes * 4 >= part.length
}

function charClass(text: string, at: number): number {
  const code = text.charCodeAt(at)
  return code <= 57 ? 0 : code <= 90 ? 1 : 2
}
