/** An exchange under way in a saved state: there may be a thousand of them, and most of their texts are the same. */
import { type Exchange, NO_STRINGS, type Outcome } from '../../../core/exchange.js'
import type { StateReader, StateWriter } from '../../../core/state.js'
import type { TextReader, TextWriter } from './texts.js'

const TEXTS = [
  'protocol',
  'method',
  'host',
  'resource',
  'error',
  'userAgent',
  'contentType',
  'traceId',
  'spanId',
  'requestId',
  'principal',
] as const
const NUMBERS = [
  'statusCode',
  'reqBytes',
  'respBytes',
  'reqStartUs',
  'reqEndUs',
  'respStartUs',
  'respEndUs',
  'gaps',
] as const

export function saveExchange(exchange: Exchange, out: StateWriter, texts: TextWriter): void {
  out.u8((exchange.complete ? 1 : 0) | (exchange.truncated ? 2 : 0) | (exchange.attrs !== null ? 4 : 0))
  for (const name of TEXTS) texts.write(out, exchange[name])
  texts.write(out, exchange.outcome)
  for (const name of NUMBERS) out.number(exchange[name])
  const { anomalies, reqHeaders, respHeaders, attrs } = exchange
  for (const list of [anomalies, reqHeaders, respHeaders]) saveList(list, out, texts)
  if (attrs !== null) saveList(Object.entries(attrs).flat(), out, texts)
}

export function restoreExchange(exchange: Exchange, state: StateReader, texts: TextReader): void {
  const bits = state.u8()
  exchange.complete = (bits & 1) !== 0
  exchange.truncated = (bits & 2) !== 0
  for (const name of TEXTS) exchange[name] = texts.read(state)
  exchange.outcome = texts.read(state) as Outcome
  for (const name of NUMBERS) exchange[name] = state.number()
  exchange.anomalies = restoreList(state, texts)
  exchange.reqHeaders = restoreList(state, texts)
  exchange.respHeaders = restoreList(state, texts)
  if ((bits & 4) === 0) return
  const attrs: Record<string, string> = {}
  const list = restoreList(state, texts)
  for (let i = 0; i < list.length; i += 2) attrs[list[i]] = list[i + 1]
  exchange.attrs = attrs
}

function saveList(list: readonly string[], out: StateWriter, texts: TextWriter): void {
  out.u32(list.length)
  for (const text of list) texts.write(out, text)
}

function restoreList(state: StateReader, texts: TextReader): string[] {
  const length = state.u32()
  if (length === 0) return NO_STRINGS
  const list: string[] = []
  for (let i = 0; i < length && !state.failed; i++) list.push(texts.read(state))
  return list
}
