/** The time a question is about. */
import { UsageError } from '../core/errors.js'

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3600_000, d: 86_400_000 }

/** `15m`, `2h`, `7d` before `nowMs`, or a time in ISO 8601; answers ms since 1970. */
export function parseTime(text: string, option: string, nowMs: number): number {
  const ago = spanMs(text)
  if (ago !== null) return Math.max(0, nowMs - ago)
  const day = /^\d{4}-\d{2}-\d{2}(?=[T ]|$)/.exec(text)?.[0]
  const time = day !== undefined && isInCalendar(day) ? Date.parse(withZone(text)) : Number.NaN
  if (Number.isNaN(time)) {
    throw new UsageError(
      `${option} takes a span such as 15m, 2h or 7d, or a time such as 2026-11-24T12:00:00Z, not "${text}"`,
    )
  }
  return time
}

/** `90s`, `2m`, `1h`, `7d`; answers ms. */
export function parseSpan(text: string, option: string): number {
  const span = spanMs(text)
  if (span === null) throw new UsageError(`${option} takes a span such as 90s, 2m or 1h, not "${text}"`)
  return span
}

function spanMs(text: string): number | null {
  const span = /^(\d{1,6})([smhd])$/.exec(text)
  return span === null ? null : Number(span[1]) * UNIT_MS[span[2]]
}

/** `Date` takes 31 February for 3 March. */
function isInCalendar(day: string): boolean {
  const time = new Date(`${day}T00:00Z`)
  return !Number.isNaN(time.getTime()) && time.toISOString().startsWith(day)
}

/** Without a zone it is UTC, like all times in the store. */
function withZone(text: string): string {
  const time = text.replace(' ', 'T')
  return /(Z|[+-]\d{2}:?\d{2})$/.test(time) || !time.includes('T') ? time : `${time}Z`
}

/** As ClickHouse writes a DateTime64(6) in UTC. */
export function clickHouseTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 23).replace('T', ' ')}000`
}
