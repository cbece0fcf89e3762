/**
 * Values as ClickHouse's TabSeparated has them: what is a control character is escaped by a backslash, so that a line is
 * always one flow and no text can steer a terminal. Lists and maps are in brackets, their texts in single quotes.
 */
import type { ColumnKind } from '../flow.js'
import { isoTime } from './flow_json.js'
import { type JsonBytes, Piece } from './json_bytes.js'

const text = (value: string, out: JsonBytes): void => out.bare(value, escaped)
const number = (value: number, out: JsonBytes): void => out.number(value)

function pairs(values: readonly string[], out: JsonBytes): void {
  out.byte(OPEN_MAP)
  for (let i = 0; i < values.length; i += 2) {
    if (i > 0) out.byte(COMMA)
    quoted(values[i], out)
    out.byte(COLON)
    quoted(values[i + 1], out)
  }
  out.byte(CLOSE_MAP)
}

/** By kind of column. */
export const writeTsv = {
  time,
  text,
  ip: text,
  id: text,
  u8: number,
  u16: number,
  u32: number,
  u64: number,
  f64: number,
  texts(values: readonly string[], out: JsonBytes): void {
    out.byte(OPEN_LIST)
    for (let i = 0; i < values.length; i++) {
      if (i > 0) out.byte(COMMA)
      quoted(values[i], out)
    }
    out.byte(CLOSE_LIST)
  },
  map(values: Readonly<Record<string, string>>, out: JsonBytes): void {
    out.byte(OPEN_MAP)
    let first = true
    for (const name in values) {
      if (!first) out.byte(COMMA)
      first = false
      quoted(name, out)
      out.byte(COLON)
      quoted(values[name], out)
    }
    out.byte(CLOSE_MAP)
  },
  pairs,
} satisfies Record<ColumnKind, unknown>

function quoted(value: string, out: JsonBytes): void {
  out.byte(QUOTE)
  out.bare(value, escapedInQuotes)
  out.byte(QUOTE)
}

let lastSecond = -1
let lastPrefix: Piece = Piece.of('')

/** `2026-01-02 03:04:05.000006`, in UTC. */
function time(us: number, out: JsonBytes): void {
  const second = Math.floor(us / 1e6)
  if (second !== lastSecond) {
    lastSecond = second
    lastPrefix = Piece.of(
      isoTime(second * 1e6)
        .slice(0, 20)
        .replace('T', ' '),
    )
  }
  out.raw(lastPrefix)
  out.padded(us - second * 1e6, 6)
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to escape
const SPECIAL = /[\u0000-\u001f\\\u007f-\u009f]/g
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to escape
const SPECIAL_IN_QUOTES = /[\u0000-\u001f\\'\u007f-\u009f]/g

const escaped = (value: string): string => value.replace(SPECIAL, escape)
const escapedInQuotes = (value: string): string => value.replace(SPECIAL_IN_QUOTES, escape)

const NAMED: Readonly<Record<string, string>> = {
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\\': '\\\\',
  "'": "\\'",
}

/** Those without a letter of their own by their bytes, `\x1b`. */
function escape(char: string): string {
  return NAMED[char] ?? [...Buffer.from(char)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')
}

const QUOTE = 39
const COMMA = 44
const COLON = 58
const OPEN_LIST = 91
const CLOSE_LIST = 93
const OPEN_MAP = 123
const CLOSE_MAP = 125
