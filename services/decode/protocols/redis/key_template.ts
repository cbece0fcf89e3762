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

/** Keys of one shape come again and again, with other numbers: their template is made once. */
class Known {
  readonly method: string
  readonly key: string
  readonly endpoint: string

  constructor(method: string, key: string, endpoint: string) {
    this.method = method
    this.key = key
    this.endpoint = endpoint
  }

  fits(method: string, key: string): boolean {
    return this.method === method && sameShape(this.key, key)
  }
}

/** A power of two. Each shape has two places, beside each other. */
const PLACES = 512
const known = new Array<Known>(PLACES).fill(new Known('', '', ''))

/** `GET user:{id}:cart`: the method, and the template of its key if it has one. */
export function endpointOf(method: string, key: string): string {
  if (key === '') return method
  const at = placeOf(method, key)
  const first = known[at]
  if (first.fits(method, key)) return first.endpoint
  const second = known[at ^ 1]
  known[at ^ 1] = first
  known[at] = second.fits(method, key) ? second : new Known(method, key, `${method} ${keyTemplate(key)}`)
  return known[at].endpoint
}

/** Not of all of it, and the same for all digits. */
function placeOf(method: string, key: string): number {
  const begin = key.charCodeAt(0)
  const middle = key.charCodeAt(key.length >> 1)
  const ends = Math.imul(isDigit(begin) ? 48 : begin, 31) + (isDigit(middle) ? 48 : middle)
  const words = Math.imul(method.charCodeAt(0), 31) + method.charCodeAt(method.length - 1) + method.length
  return (Math.imul(ends, 31) + Math.imul(words, 17) + Math.imul(key.length, 2)) & (PLACES - 1)
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
