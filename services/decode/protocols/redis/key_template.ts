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
    const digit = code >= 48 && code <= 57
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
