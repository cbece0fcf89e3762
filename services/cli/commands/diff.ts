import { EXIT, KlartextError, UsageError } from '../../core/errors.js'
import { FLOW_COLUMNS } from '../../core/flow.js'
import { type Difference, type DiffSummary, FlowDiff, type FlowSet, IGNORED_COLUMNS } from '../../replay/diff.js'
import { flowCondition } from '../../replay/filter.js'
import type { Replay, ReplayRegistry } from '../../replay/registry.js'
import { parseReplayId, replayTables } from '../../replay/request.js'
import { type Command, type CommandInput, text, wholeNumber } from '../command.js'
import { printable } from '../output.js'
import { openStore, registryOf } from '../replay/access.js'
import { losses, notes, windowText } from '../replay/report.js'

export const diff: Command = {
  name: 'diff',
  usage: 'live|ID ID',
  summary: 'what a replay says otherwise than the live flows, or than another replay',
  details: `Flows are compared by conn_id and exchange_seq, within the window and filter of the replay (of two: where both agree):
"vanished" are on the first side only, "new" on the second only, "changed" are on both with other values. Columns that say
where a row was stored (${IGNORED_COLUMNS.slice(0, 5).join(', ')}) and versions are not compared.

Exit codes: 0 equal, 3 not equal, 1 failed, 2 wrong usage.`,
  options: {
    limit: { type: 'string', value: 'N', help: 'differences of each kind that are shown (20)' },
    ignore: { type: 'string', value: 'COLUMN,...', help: 'further columns that are not compared' },
    json: { type: 'boolean', help: 'one JSON object per difference, the sums last' },
    data: { type: 'string', value: 'DIR', help: 'of the store (~/.local/share/klartext)' },
  },
  run,
}

const LIMIT_MAX = 1_000_000

interface Side extends FlowSet {
  readonly replay: Replay | null
}

async function run(input: CommandInput): Promise<number> {
  const [before, after, ...more] = input.positionals
  if (before === undefined || after === undefined || more.length > 0 || after === 'live') {
    throw new UsageError('klartext diff: name two, the first may be live: klartext diff live replay_0123456789abcdef')
  }
  const ids = [before === 'live' ? null : parseReplayId(before), parseReplayId(after)]
  const limit = wholeNumber(input, 'limit', 20, 0, LIMIT_MAX)
  const ignored = [...IGNORED_COLUMNS, ...ignoredColumns(input)]
  const access = await openStore(text(input, 'data'))
  try {
    const registry = registryOf(access)
    const [one, two] = [await sideOf(ids[0], registry), await sideOf(ids[1], registry)]
    const replays = [one, two].flatMap(({ replay }) => (replay === null ? [] : [replay]))
    for (const replay of replays) await warn(replay, registry)
    const condition = [...new Set(replays.map(({ request }) => flowCondition(request)))].join(' AND ')
    const found = new FlowDiff(access.store, one, two, condition, ignored)
    const summary = await found.summary()
    const isJson = input.values.json === true
    for await (const difference of found.differences(limit)) {
      process.stdout.write(isJson ? `${JSON.stringify(difference)}\n` : `${differenceText(difference)}\n`)
    }
    process.stdout.write(
      isJson ? `${JSON.stringify({ kind: 'summary', ...summary })}\n` : summaryText(one, two, summary),
    )
    return summary.equal === summary.before && summary.equal === summary.after ? EXIT.done : EXIT.losses
  } finally {
    await access.close()
  }
}

function ignoredColumns(input: CommandInput): string[] {
  const words = (text(input, 'ignore') ?? '').split(',').filter((word) => word !== '')
  for (const word of words) {
    if (!FLOW_COLUMNS.some(({ name }) => name === word)) throw new UsageError(`there is no column "${word}"`)
  }
  return words
}

async function sideOf(id: string | null, registry: ReplayRegistry): Promise<Side> {
  if (id === null) return { name: 'live', table: 'flows', replay: null }
  const replay = await registry.get(id)
  if (replay.state === 'open') {
    throw new KlartextError('NOT_DONE', `${id} is not done yet: klartext replay watch ${id} waits for it`)
  }
  return { name: id, table: replayTables(id, replay.generation).flows, replay }
}

/** What makes a comparison worth less. */
async function warn(replay: Replay, registry: ReplayRegistry): Promise<void> {
  const rows = await registry.progress(replay)
  const { id, state } = replay
  process.stderr.write(`${id}: ${windowText(replay)}\n`)
  if (state !== 'done') process.stderr.write(`${id} is ${state}: it holds a part of its window only\n`)
  for (const line of [...losses(replay, rows), ...notes(replay, rows)]) process.stderr.write(`${id}: ${line}\n`)
}

function differenceText(difference: Difference): string {
  const { connId, seq } = difference.key
  const head = `${difference.kind.padEnd(8)}  ${connId} #${seq}`
  if (difference.kind === 'changed') {
    const lines = Object.entries(difference.columns).map(
      ([name, [old, now]]) => `            ${name}: ${shown(old)} -> ${shown(now)}`,
    )
    return [head, ...lines].join('\n')
  }
  const { ts, client_ip, server_ip, server_port, protocol, method, host, resource, status_code, outcome } =
    difference.flow
  const request = `${method} ${host}${resource}`.trim()
  return `${head}  ${ts} ${client_ip} -> ${server_ip}:${server_port} ${protocol} ${shown(request)} ${status_code} ${outcome}`
}

const SHOWN_CHARS_MAX = 120

function shown(value: string): string {
  const plain = printable(value)
  return plain.length > SHOWN_CHARS_MAX ? `${plain.slice(0, SHOWN_CHARS_MAX)}...` : plain
}

function summaryText(one: Side, two: Side, summary: DiffSummary): string {
  const lines = [
    `${one.name}: ${summary.before} flows, ${two.name}: ${summary.after}`,
    `${summary.equal} equal, ${summary.changed} changed, ${summary.new} new, ${summary.vanished} vanished`,
  ]
  if (summary.repeated > 0) lines.push(`${summary.repeated} exchanges are there more than once`)
  if (summary.columns.length > 0) {
    lines.push(`changed columns: ${summary.columns.map(([name, flows]) => `${name} ${flows}`).join(', ')}`)
  }
  return `${lines.join('\n')}\n`
}
