/**
 * The few shapes behind many keys: `user:1234:cart` -> `user:{id}:cart`. Parts lie between `:` `/` `|` `.` and braces; a
 * part stays if it is a word, digits in it become `{id}`, and what is neither becomes `{token}`. Nothing but words stays,
 * so that the template may be kept where keys may not.
 */

/** A dimension to group by is short. */
const TEMPLATE_CHARS_MAX = 120
const WORD_CHARS_MAX = 32
const PARTS_MAX = 10

/** Has dots of its own. */
const ADDRESS = /[^:/|{}\s]+@[^:/|{}\s]+/g
const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i
const HEX = /^(?=.*\d)[0-9a-f]{8,}$/i

export function keyTemplate(sent: string): string {
  const key = sent.includes('@') ? sent.replace(ADDRESS, '{email}') : sent
  const size = key.length
  let template = ''
  let parts = 0
  let from = 0
  for (let i = 0; i <= size; i++) {
    if (i < size && !isSeparator(key.charCodeAt(i))) continue
    if (i > from) {
      if (++parts > PARTS_MAX || template.length > TEMPLATE_CHARS_MAX) return `${template}…`
      template += part(key, from, i)
    }
    if (i < size) template += key[i]
    from = i + 1
  }
  return template.length <= TEMPLATE_CHARS_MAX ? template : `${template.slice(0, TEMPLATE_CHARS_MAX)}…`
}

/** Keys of one shape come one after the other, with other numbers: their template is made once. */
const RECENT = 4

class Recent {
  readonly keys: string[] = new Array(RECENT).fill('')
  readonly endpoints: string[] = new Array(RECENT).fill('')
  next = 0
}

const recent = new Map<string, Recent>()
/** Methods are words of a known table, but for those of modules. */
const METHODS_MAX = 512

/** `GET user:{id}:cart`: the method, and the template of its key if it has one. */
export function endpointOf(method: string, key: string): string {
  if (key === '') return method
  let known = recent.get(method)
  if (known === undefined) {
    if (recent.size >= METHODS_MAX) recent.clear()
    known = new Recent()
    recent.set(method, known)
  }
  const { keys, endpoints } = known
  for (let i = 0; i < RECENT; i++) if (sameShape(key, keys[i])) return endpoints[i]
  const endpoint = `${method} ${keyTemplate(key)}`
  keys[known.next] = key
  endpoints[known.next] = endpoint
  known.next = (known.next + 1) % RECENT
  return endpoint
}

/** Equal but for digits in the place of digits: the template does not depend on which these are. */
function sameShape(a: string, b: string): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y && !(isDigit(x) && isDigit(y))) return false
  }
  return true
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57
}

function isSeparator(code: number): boolean {
  // : / | . { }
  return code === 58 || code === 47 || code === 124 || code === 46 || code === 123 || code === 125
}

function part(key: string, from: number, to: number): string {
  let digits = 0
  let runs = 0
  let letters = 0
  let wasDigit = false
  for (let i = from; i < to; i++) {
    const code = key.charCodeAt(i)
    const digit = isDigit(code)
    if (digit) {
      digits += 1
      if (!wasDigit) runs += 1
    } else if ((code >= 65 && code <= 90) || (code >= 97 && code <= 122)) letters += 1
    else if (code !== 95 && code !== 45) return '{token}'
    wasDigit = digit
  }
  const size = to - from
  if (digits === 0) return size <= WORD_CHARS_MAX ? key.slice(from, to) : '{token}'
  if (letters === 0) return '{id}'
  const text = key.slice(from, to)
  if (size >= 8 && HEX.test(text)) return '{hex}'
  if (size === 36 && UUID.test(text)) return '{uuid}'
  return runs > 1 || size > WORD_CHARS_MAX ? '{token}' : text.replace(/\d+/, '{id}')
}
