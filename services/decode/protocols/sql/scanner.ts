/**
 * Tokens of an SQL text, one after the other, without building any: the caller reads `kind`, `from` and `to`. Lexical
 * rules of PostgreSQL (manual section 4.1) and, where they differ, of MySQL (manual section 11.1). Whatever the text, the
 * scanner ends: an unfinished literal or comment reaches to the end of the text, so that a cut text shows no value.
 */

/** `pgsql`: `"a"` is a name, `$1` a parameter, `$$..$$` a text. `mysql`: `"a"` is a text, `\` escapes, `#` comments, a`b`c. */
export type Dialect = 'pgsql' | 'mysql'

export const END = 0
export const WORD = 1
/** A name in quotes. */
export const QUOTED = 2
/** Text, number, bits: a value. */
export const LITERAL = 3
/** `$1`, `?`, `:name`. */
export const PARAMETER = 4
/** One of `( ) , ; . [ ]`. */
export const PUNCTUATION = 5
/** Anything else: `=`, `->>`, `::` ... */
export const OPERATOR = 6

const TAB = 9
const SPACE = 32
const QUOTE = 39
const DOUBLE = 34
const BACKTICK = 96
const DOLLAR = 36
const BACKSLASH = 92

export class Scanner {
  text = ''
  kind = END
  from = 0
  to = 0
  /** A comment stood somewhere before the last token. */
  commented = false
  #mysql = false

  start(text: string, dialect: Dialect): void {
    this.text = text
    this.kind = END
    this.from = 0
    this.to = 0
    this.commented = false
    this.#mysql = dialect === 'mysql'
  }

  /** Moves to the next token; its kind, END when there is none. */
  next(): number {
    const { text } = this
    const at = this.#skipBlanks(this.to)
    this.from = at
    if (at >= text.length) {
      this.to = text.length
      return (this.kind = END)
    }
    const code = text.charCodeAt(at)
    if (isWordStart(code)) return this.#word(at)
    if (isDigit(code) || (code === 46 && isDigit(text.charCodeAt(at + 1))))
      return this.#end(LITERAL, numberEnd(text, at))
    switch (code) {
      case QUOTE:
        return this.#end(LITERAL, quotedEnd(text, at, QUOTE, this.#mysql))
      case DOUBLE:
        return this.#end(this.#mysql ? LITERAL : QUOTED, quotedEnd(text, at, DOUBLE, this.#mysql))
      case BACKTICK:
        return this.#end(QUOTED, quotedEnd(text, at, BACKTICK, false))
      case DOLLAR:
        return this.#dollar(at)
      case 63: // ?
        if (!isOperator(text.charCodeAt(at + 1))) return this.#end(PARAMETER, at + 1)
        break
      case 40: // (
      case 41: // )
      case 44: // ,
      case 46: // .
      case 59: // ;
      case 91: // [
      case 93: // ]
        return this.#end(PUNCTUATION, at + 1)
      case 58: // :
        if (text.charCodeAt(at + 1) === 58) return this.#end(OPERATOR, at + 2)
        if (isWordStart(text.charCodeAt(at + 1))) return this.#end(PARAMETER, wordEnd(text, at + 1))
    }
    let to = at + 1
    while (to < text.length && isOperator(text.charCodeAt(to)) && !startsComment(text, to)) to++
    return this.#end(OPERATOR, to)
  }

  #end(kind: number, to: number): number {
    this.to = to
    return (this.kind = kind)
  }

  #word(at: number): number {
    const { text } = this
    const to = wordEnd(text, at)
    // E'..', B'..', X'..', N'..', U&'..': the letter belongs to the value.
    if (to - at === 1 && text.charCodeAt(to) === QUOTE) {
      const letter = text.charCodeAt(at) | 32
      if (letter === 101 || letter === 98 || letter === 120 || letter === 110) {
        return this.#end(LITERAL, quotedEnd(text, to, QUOTE, letter === 101 || this.#mysql))
      }
    }
    if (to - at === 1 && text.charCodeAt(to) === 38 && (text.charCodeAt(at) | 32) === 117) {
      const quote = text.charCodeAt(to + 1)
      if (quote === QUOTE) return this.#end(LITERAL, quotedEnd(text, to + 1, QUOTE, false))
      if (quote === DOUBLE) return this.#end(QUOTED, quotedEnd(text, to + 1, DOUBLE, false))
    }
    return this.#end(WORD, to)
  }

  /** `$1`, or a text between `$tag$` and `$tag$`. */
  #dollar(at: number): number {
    const { text } = this
    let to = at + 1
    if (isDigit(text.charCodeAt(to))) {
      while (isDigit(text.charCodeAt(to))) to++
      return this.#end(PARAMETER, to)
    }
    if (!this.#mysql) {
      while (to < text.length && isWordPart(text.charCodeAt(to)) && text.charCodeAt(to) !== DOLLAR) to++
      if (text.charCodeAt(to) === DOLLAR) {
        const tag = text.slice(at, to + 1)
        const close = text.indexOf(tag, to + 1)
        return this.#end(LITERAL, close < 0 ? text.length : close + tag.length)
      }
    }
    return this.#end(OPERATOR, at + 1)
  }

  #skipBlanks(from: number): number {
    const { text } = this
    let at = from
    for (;;) {
      const code = text.charCodeAt(at)
      if (code === SPACE || (code >= TAB && code <= 13)) at++
      else if (code === 45 && text.charCodeAt(at + 1) === 45) at = this.#lineEnd(at)
      else if (code === 35 && this.#mysql) at = this.#lineEnd(at)
      else if (code === 47 && text.charCodeAt(at + 1) === 42) at = this.#commentEnd(at)
      else return at
    }
  }

  #lineEnd(at: number): number {
    this.commented = true
    const end = this.text.indexOf('\n', at)
    return end < 0 ? this.text.length : end + 1
  }

  /** Comments nest in PostgreSQL, not in MySQL. */
  #commentEnd(from: number): number {
    const { text } = this
    this.commented = true
    let depth = 1
    let at = from + 2
    while (depth > 0) {
      const close = text.indexOf('*/', at)
      if (close < 0) return text.length
      const open = this.#mysql ? -1 : text.indexOf('/*', at)
      if (open >= 0 && open < close) {
        depth += 1
        at = open + 2
      } else {
        depth -= 1
        at = close + 2
      }
    }
    return at
  }
}

/** Behind the closing quote; a doubled quote is part of the text, one behind a backslash too where these escape. */
function quotedEnd(text: string, from: number, quote: number, backslash: boolean): number {
  let at = from + 1
  while (at < text.length) {
    const code = text.charCodeAt(at)
    if (code === BACKSLASH && backslash) at += 2
    else if (code !== quote) at += 1
    else if (text.charCodeAt(at + 1) === quote) at += 2
    else return at + 1
  }
  return text.length
}

function numberEnd(text: string, from: number): number {
  let at = from
  for (;;) {
    const code = text.charCodeAt(at)
    if (isDigit(code) || (code | 32) === 101 || code === 46 || code === 95) at++
    else if ((code | 32) >= 97 && (code | 32) <= 122) at++
    else if ((code === 43 || code === 45) && (text.charCodeAt(at - 1) | 32) === 101 && isDigit(text.charCodeAt(at + 1)))
      at++
    else return at
  }
}

function wordEnd(text: string, from: number): number {
  let at = from
  while (at < text.length && isWordPart(text.charCodeAt(at))) at++
  return at
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57
}

function isWordStart(code: number): boolean {
  return ((code | 32) >= 97 && (code | 32) <= 122) || code === 95 || code > 127
}

function isWordPart(code: number): boolean {
  return isWordStart(code) || isDigit(code) || code === DOLLAR
}

/** `+ - * / < > = ~ ! @ # % ^ & | ?` */
function isOperator(code: number): boolean {
  switch (code) {
    case 33:
    case 35:
    case 37:
    case 38:
    case 42:
    case 43:
    case 45:
    case 47:
    case 60:
    case 61:
    case 62:
    case 63:
    case 64:
    case 94:
    case 124:
    case 126:
      return true
  }
  return false
}

function startsComment(text: string, at: number): boolean {
  const code = text.charCodeAt(at)
  const next = text.charCodeAt(at + 1)
  return (code === 45 && next === 45) || (code === 47 && next === 42)
}
