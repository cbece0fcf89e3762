/** Path templates: the few shapes behind many targets, `/items/42` and `/items/43` -> `/items/{id}`. */

/** Deeper paths and longer templates are cut: an endpoint is a dimension to group by. */
const PARTS_MAX = 12
const ENDPOINT_CHARS_MAX = 200

export function endpointOf(target: string): string {
  if (target === '' || target === '*') return target
  return template(pathOf(target))
}

/** Without query, fragment, and the scheme and authority of an absolute target. */
function pathOf(target: string): string {
  let from = 0
  if (target.charCodeAt(0) !== SLASH) {
    const scheme = target.indexOf('://')
    if (scheme < 0) return cut(target, 0)
    from = target.indexOf('/', scheme + 3)
    if (from < 0) return '/'
  }
  return cut(target, from)
}

const SLASH = 47
const QUESTION = 63
const HASH = 35
const SEMICOLON = 59

function cut(target: string, from: number): string {
  for (let i = from; i < target.length; i++) {
    const code = target.charCodeAt(i)
    if (code === QUESTION || code === HASH || code === SEMICOLON) return target.slice(from, i)
  }
  return from === 0 ? target : target.slice(from)
}

/** Most parts are judged by one look at their characters; only doubtful ones go through the patterns. */
function template(path: string): string {
  let shown = ''
  /** Up to here `path` is in `shown`. */
  let copied = 0
  let from = 0
  let parts = 1
  for (let i = 0; i <= path.length; i++) {
    if (i < path.length && path.charCodeAt(i) !== SLASH) continue
    const replaced = placeholderOf(path, from, i)
    if (replaced !== '') {
      shown += path.slice(copied, from) + replaced
      copied = i
    }
    if (i < path.length && ++parts > PARTS_MAX) return cutLong(`${shown}${path.slice(copied, i)}/…`)
    from = i + 1
  }
  return cutLong(copied === 0 ? path : shown + path.slice(copied))
}

function cutLong(text: string): string {
  return text.length <= ENDPOINT_CHARS_MAX ? text : `${text.slice(0, ENDPOINT_CHARS_MAX)}…`
}

/** What stands for a part in the template; `''` = the part itself. */
function placeholderOf(path: string, from: number, to: number): string {
  let digits = 0
  let odd = 0
  for (let i = from; i < to; i++) {
    const code = path.charCodeAt(i)
    if (code >= 48 && code <= 57) digits += 1
    else if (code === AT || code === PERCENT) odd += 1
  }
  if (digits === 0 && odd === 0) return ''
  if (digits === to - from) return '{id}'
  const part = path.slice(from, to)
  const shown = placeholder(part)
  return shown === part ? '' : shown
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

function placeholder(part: string): string {
  if (part === '') return part
  const first = part.charCodeAt(0)
  if (part.length < 4 && (first < 48 || first > 57)) return part
  if (first >= 48 && first <= 57 && NUMBER.test(part)) return '{id}'
  if (!HAS_DIGIT.test(part)) return EMAIL.test(part) ? '{email}' : part
  if (UUID.test(part)) return '{uuid}'
  if (DATE.test(part)) return '{date}'
  if (HEX.test(part)) return '{hex}'
  if (EMAIL.test(part)) return '{email}'
  const numbered = NUMBERED.exec(part)
  if (numbered !== null) return `${numbered[1]}{id}`
  const file = HASHED_FILE.exec(part)
  if (file !== null) return `${file[1]}.{hash}${part.slice(part.lastIndexOf('.'))}`
  if (looksRandom(part)) return '{token}'
  return part
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
