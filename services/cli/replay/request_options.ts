/** Window and filter of a replay or an export, from the words of a command. */
import type { ReplayFilter } from '../../core/replay.js'
import { type CommandInput, type OptionHelp, text } from '../command.js'
import { parseSpan, parseTime } from '../time_span.js'

export const WINDOW_OPTIONS: Readonly<Record<string, OptionHelp>> = {
  from: { type: 'string', value: 'TIME', help: 'a time, or a span before now such as 15m, 2h, 3d' },
  to: { type: 'string', value: 'TIME', help: 'likewise' },
  lead: { type: 'string', value: 'SPAN', help: 'decode from so long before --from (2m; archives: all there is)' },
}

export const FILTER_OPTIONS: Readonly<Record<string, OptionHelp>> = {
  namespace: { type: 'string', short: 'n', value: 'NAME,...', help: 'of either end' },
  workload: { type: 'string', value: 'NAME,...', help: 'of either end' },
  address: { type: 'string', value: 'IP,...', help: 'of either end' },
  port: { type: 'string', value: 'N,...', help: 'of either end' },
  protocol: { type: 'string', value: 'NAME,...', help: 'http1, http2, grpc, postgresql, redis, dns ...' },
  'conn-id': { type: 'string', value: 'ID,...', help: 'as in klartext.flows' },
}

/** µs since 1970; null where not said. */
export function timeUs(input: CommandInput, name: string, nowMs: number): number | null {
  const value = text(input, name)
  return value === undefined ? null : parseTime(value, `--${name}`, nowMs) * 1000
}

/** A span such as 90s, 2m, 1h, in µs; null where not said. */
export function spanUs(input: CommandInput, name: string): number | null {
  const value = text(input, name)
  return value === undefined ? null : parseSpan(value, `--${name}`) * 1000
}

export function filterOf(input: CommandInput): ReplayFilter {
  return {
    namespaces: words(input, 'namespace'),
    workloads: words(input, 'workload'),
    addresses: words(input, 'address'),
    ports: words(input, 'port').map((word) => (/^\d{1,5}$/.test(word) ? Number(word) : Number.NaN)),
    protocols: words(input, 'protocol'),
    connIds: words(input, 'conn-id'),
  }
}

function words(input: CommandInput, name: string): string[] {
  return (text(input, name) ?? '')
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '')
}
