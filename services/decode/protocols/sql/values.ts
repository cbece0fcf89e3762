/**
 * A text with its plain numbers and texts as `0` and `''`: the key under which an answer is kept. It need not take out
 * every value, only never change what the text is about: where a text holds anything but the simplest, it stays as it is.
 */

/** Longer texts are mostly values, or are not repeated. */
const KEY_CHARS_MAX = 2048

const ZERO = 48

const OTHER = 0
const QUOTE = 1
const DIGIT = 2
/** Letters, `_`, `$`, beyond ASCII: a digit behind one belongs to a name. */
const NAME = 3
/** Escapes, comments, dollar quotes: not simple. */
const HARD = 4
/** `"a1"`, `a1` in backticks: taken as it is. */
const QUOTED_NAME = 5

const KINDS = new Uint8Array(128)
for (let code = 0; code < 128; code++) {
  const text = String.fromCharCode(code)
  if (/[0-9]/.test(text)) KINDS[code] = DIGIT
  else if (/[A-Za-z_]/.test(text)) KINDS[code] = NAME
  else if (/[\\#$]/.test(text)) KINDS[code] = HARD
  else if (/["`]/.test(text)) KINDS[code] = QUOTED_NAME
}
KINDS[39] = QUOTE

/** The key of one text after another: what was looked up before is found again without a new text being made. */
export class TextKey {
  readonly #codes = new Uint16Array(KEY_CHARS_MAX + 1)
  #size = 0
  hash = 0

  /** False if the text is its own key. */
  take(text: string): boolean {
    const size = text.length
    this.#size = 0
    this.hash = 0
    if (size > KEY_CHARS_MAX) return false
    let before = OTHER
    for (let at = 0; at < size; at++) {
      const code = text.charCodeAt(at)
      const kind = code < 128 ? KINDS[code] : NAME
      if (kind === DIGIT && before !== NAME) {
        while (isNumberPart(text.charCodeAt(at + 1))) at++
        this.#add(ZERO)
        before = NAME
        continue
      }
      this.#add(code)
      if (kind === QUOTE) {
        // A letter in front changes the rules: E'..', U&'..'.
        if (before === NAME || text.charCodeAt(at - 1) === 38) return false
        const end = text.indexOf("'", at + 1)
        if (end < 0 || text.charCodeAt(end + 1) === 39 || hasBackslash(text, at, end)) return false
        this.#add(code)
        at = end
        before = OTHER
        continue
      }
      if (kind === QUOTED_NAME) {
        const end = text.indexOf(text[at], at + 1)
        if (end < 0) return false
        while (at < end) this.#add(text.charCodeAt(++at))
        before = NAME
        continue
      }
      if (kind === HARD) {
        // `$1` is simple.
        if (code !== 36 || !isDigit(text.charCodeAt(at + 1))) return false
        before = NAME
        continue
      }
      if ((code === 45 || code === 47) && isComment(text, at)) return false
      before = kind === DIGIT ? NAME : kind
    }
    return true
  }

  #add(code: number): void {
    this.#codes[this.#size++] = code
    this.hash = (Math.imul(this.hash, 31) + code) | 0
  }

  /** Is this the key of the text that was taken last? */
  is(key: string): boolean {
    const size = this.#size
    if (key.length !== size) return false
    const codes = this.#codes
    for (let i = 0; i < size; i++) if (key.charCodeAt(i) !== codes[i]) return false
    return true
  }

  toString(): string {
    return String.fromCharCode(...this.#codes.subarray(0, this.#size))
  }
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57
}

function isNumberPart(code: number): boolean {
  return isDigit(code) || code === 46
}

function isComment(text: string, at: number): boolean {
  const next = text.charCodeAt(at + 1)
  return text.charCodeAt(at) === 45 ? next === 45 : next === 42
}

function hasBackslash(text: string, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (text.charCodeAt(at) === 92) return true
  return false
}
