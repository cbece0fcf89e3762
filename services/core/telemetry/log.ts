/**
 * The log of a service: short lines with fields. Errors are counted where they are logged, and one that comes again and
 * again is said once in a while, with how often it was left out. Never payload: connection, direction and offset find it.
 */
import { KlartextError } from '../errors.js'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
export type LogFields = Readonly<Record<string, string | number | boolean | bigint>>

export interface LogOptions {
  readonly service: string
  readonly format: 'text' | 'json'
  readonly level: LogLevel
  nowMs(): number
  write(line: string): void
}

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 }
/** The same error again within this time is counted only. */
const QUIET_MS = 10_000
/** Different errors that are remembered; more of them in so short a time are one flood. */
const KINDS_MAX = 256

interface Told {
  atMs: number
  leftOut: number
}

export class Log {
  readonly #options: LogOptions
  readonly #told = new Map<string, Told>()
  /** Errors by code since the start. */
  readonly errors = new Map<string, number>()

  constructor(options: LogOptions) {
    this.#options = options
  }

  debug(message: string, fields: LogFields = {}): void {
    this.#line('debug', message, fields)
  }

  info(message: string, fields: LogFields = {}): void {
    this.#line('info', message, fields)
  }

  warn(message: string, fields: LogFields = {}): void {
    this.#line('warn', message, fields)
  }

  /** What went wrong while `doing`, is counted by its code and, where it was not said just now, said. */
  failure(doing: string, error: unknown, fields: LogFields = {}): void {
    const code = errorCode(error)
    this.errors.set(code, (this.errors.get(code) ?? 0) + 1)
    const kind = `${doing}/${code}`
    const now = this.#options.nowMs()
    const told = this.#told.get(kind)
    if (told !== undefined && now - told.atMs < QUIET_MS) {
      told.leftOut += 1
      return
    }
    if (this.#told.size >= KINDS_MAX) this.#told.clear()
    this.#told.set(kind, { atMs: now, leftOut: 0 })
    const again = told === undefined || told.leftOut === 0 ? {} : { left_out: told.leftOut }
    const level = error instanceof KlartextError && error.retryable ? 'warn' : 'error'
    this.#line(level, doing, { code, error: errorLine(error), ...fields, ...again })
  }

  #line(level: LogLevel, message: string, fields: LogFields): void {
    const { service, format, nowMs, write } = this.#options
    if (RANK[level] < RANK[this.#options.level]) return
    const time = new Date(nowMs()).toISOString()
    if (format === 'json') {
      const plain = Object.entries(fields).map(([name, value]) => [
        name,
        typeof value === 'bigint' ? `${value}` : value,
      ])
      write(JSON.stringify({ time, level, service, message, ...Object.fromEntries(plain) }))
      return
    }
    const parts = Object.entries(fields).map(([name, value]) => ` ${name}=${shown(value)}`)
    write(`${time} ${level.padEnd(5)} ${service}: ${message}${parts.join('')}`)
  }
}

function shown(value: LogFields[string]): string {
  const text = String(value)
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text)
}

/** Of a closed set: codes of KlartextErrors, without what a server adds to its own. */
export function errorCode(error: unknown): string {
  if (!(error instanceof KlartextError)) return 'UNEXPECTED'
  return error.code.replace(/^CLICKHOUSE_\d+$/, 'CLICKHOUSE')
}

/** One line; of our own mistakes also where. */
function errorLine(error: unknown): string {
  if (error instanceof KlartextError) return error.message
  if (!(error instanceof Error)) return String(error)
  const where = error.stack?.split('\n').find((line) => line.trimStart().startsWith('at '))
  return `${error.message.split('\n')[0]}${where === undefined ? '' : ` (${where.trim()})`}`
}
