/** What a person is told of a replay. */
import { EXIT } from '../../core/errors.js'
import type { ReplayPartRow, ReplayRequest } from '../../core/replay.js'
import { filterText } from '../../replay/filter.js'
import type { Replay } from '../../replay/registry.js'
import { replayTables } from '../../replay/request.js'

export interface Totals {
  readonly percent: number
  readonly flows: number
  readonly connections: number
  readonly segments: number
  readonly bytes: number
  readonly unreadable: number
  readonly joined: number
  readonly open: number
  readonly busyUs: number
  readonly partsDone: number
  readonly started: boolean
  readonly updatedUs: number
}

export function totals(replay: Replay, rows: readonly ReplayPartRow[]): Totals {
  const sum = (value: (row: ReplayPartRow) => number) => rows.reduce((all, row) => all + value(row), 0)
  const whole = replay.parts.reduce((all, { start, stop }) => all + (stop - start), 0)
  const behind = sum(({ start, next }) => next - start)
  return {
    percent: replay.state === 'done' ? 100 : whole === 0 ? 0 : Math.min(99, Math.floor((behind / whole) * 100)),
    flows: sum(({ flows }) => flows),
    connections: sum(({ connections }) => connections),
    segments: sum(({ segments }) => segments),
    bytes: sum(({ bytes }) => bytes),
    unreadable: sum(({ unreadable }) => unreadable),
    joined: sum(({ joined }) => joined),
    open: sum(({ open }) => open),
    busyUs: sum(({ busy_us }) => busy_us),
    partsDone: rows.filter(({ done }) => done === 1).length,
    started: rows.length > 0,
    updatedUs: rows.reduce((last, { updated }) => Math.max(last, updated), replay.updatedUs),
  }
}

export function stateText({ state }: Replay, { started, percent }: Totals): string {
  if (state !== 'open') return state
  return started ? `running, ${percent} %` : 'waiting'
}

/** One line each; where there are any the result lacks something that was asked for. */
export function losses(replay: Replay, rows: readonly ReplayPartRow[]): string[] {
  const lines: string[] = []
  const { fromUs } = replay.request
  const lostBefore = new Map(replay.parts.map(({ part, lostBeforeUs }) => [part, lostBeforeUs]))
  for (const row of rows) lostBefore.set(row.part, row.lost_before)
  const late = [...lostBefore].filter(([, us]) => us > fromUs)
  if (late.length > 0) {
    const us = Math.max(...late.map(([, lost]) => lost))
    const where = replay.request.archive === '' ? ` in ${late.length} of ${replay.parts.length} partitions` : ''
    lines.push(`segments before ${time(us)} are not kept any more${where}: the window is not complete`)
  }
  const { unreadable } = totals(replay, rows)
  if (unreadable > 0) lines.push(`${unreadable} segment batches could not be read`)
  return lines
}

/** What is no loss, but must be known to read the result right. */
export function notes(replay: Replay, rows: readonly ReplayPartRow[]): string[] {
  const { joined, open } = totals(replay, rows)
  const lines: string[] = []
  const later = sentLater(replay.request)
  if (later !== '') lines.push(later)
  if (joined > 0) {
    lines.push(
      `${joined} connections were open before the first segment that was read: their flows count from 0, and what depends ` +
        'on what was said before is missing; a longer --lead may help',
    )
  }
  if (open > 0) {
    lines.push(
      `${open} connections were open where reading ended: what was asked and not yet answered there is no flow; a longer ` +
        '--trail may help',
    )
  }
  return lines
}

/** Offsets are found by when messages were sent: what was captured in the window and sent later lies behind them. */
export function sentLater({ archive, toUs, trailUs }: ReplayRequest): string {
  if (archive !== '' || toUs === Number.MAX_SAFE_INTEGER) return ''
  const until = time(Math.min(Number.MAX_SAFE_INTEGER, toUs + trailUs))
  return (
    `segments that a capturer sent only after ${until}, since Kafka was away from it, were not looked for: ` +
    'a longer --trail finds them'
  )
}

/** Of a replay that is over. */
export function exitCode(replay: Replay, rows: readonly ReplayPartRow[]): number {
  if (replay.state !== 'done') return EXIT.failed
  return losses(replay, rows).length > 0 ? EXIT.losses : EXIT.done
}

export function windowText({ request }: Replay): string {
  const { fromUs, toUs, leadUs, trailUs } = request
  if (fromUs === 0 && toUs === Number.MAX_SAFE_INTEGER) return 'all of it'
  const lead = leadUs === Number.MAX_SAFE_INTEGER ? 'all there is' : span(leadUs)
  return `${time(fromUs)} to ${time(toUs)}, lead ${lead}, trail ${span(trailUs)}`
}

export function describe(replay: Replay, rows: readonly ReplayPartRow[]): string {
  const all = totals(replay, rows)
  const names = replayTables(replay.id, replay.generation)
  const filter = filterText(replay.request.filter)
  const lines = [
    `${replay.id}  ${stateText(replay, all)}`,
    `window     ${windowText(replay)}`,
    `source     ${replay.request.archive === '' ? 'klartext.segments' : replay.request.archive}`,
    ...(filter === '' ? [] : [`filter     ${filter}`]),
    `decoder    ${replay.request.decoderVersion}`,
    `submitted  ${time(replay.submittedUs)}`,
    `progress   ${all.partsDone} of ${replay.parts.length} parts done, ${all.segments} segments read`,
    `kept       ${all.flows} flows in klartext.${names.flows}`,
    `           ${all.connections} connections in klartext.${names.connections}`,
  ]
  if (replay.error !== '') lines.push(`error      ${replay.error}`)
  for (const line of losses(replay, rows)) lines.push(`lost       ${line}`)
  for (const line of notes(replay, rows)) lines.push(`note       ${line}`)
  return `${lines.join('\n')}\n`
}

export function asJson(replay: Replay, rows: readonly ReplayPartRow[]): Record<string, unknown> {
  const { started, ...all } = totals(replay, rows)
  const state = replay.state !== 'open' ? replay.state : started ? 'running' : 'waiting'
  const { id, generation, request, error } = replay
  const { percent, updatedUs, busyUs, ...counts } = all
  return {
    id,
    state,
    percent,
    submitted: time(replay.submittedUs),
    updated: time(updatedUs),
    request,
    tables: replayTables(id, generation),
    parts: replay.parts.length,
    ...counts,
    busy_seconds: busyUs / 1e6,
    error,
    losses: losses(replay, rows),
    notes: notes(replay, rows),
  }
}

function span(us: number): string {
  const seconds = us / 1e6
  if (seconds >= 3600 && seconds % 3600 === 0) return `${seconds / 3600} h`
  return seconds >= 60 && seconds % 60 === 0 ? `${seconds / 60} min` : `${seconds} s`
}

export function time(us: number): string {
  if (us >= Number.MAX_SAFE_INTEGER) return 'the end'
  return `${new Date(us / 1000).toISOString().slice(0, 19)}Z`
}
