import { defaultDataDir } from '../../adapters/chdb/store.js'
import { EXIT, UsageError } from '../../core/errors.js'
import { type Command, type CommandInput, text, wholeNumber } from '../command.js'
import { nearest } from '../nearest.js'
import { table } from '../output.js'
import { isStore, openQueries } from '../query.js'
import { type Question, questionsOfStore, questionsShipped } from '../questions.js'
import { clickHouseTime, parseTime } from '../time_span.js'

export const ask: Command = {
  name: 'ask',
  usage: 'NAME',
  summary: 'the usual questions of an incident, each a view with SQL to start from',
  details:
    'klartext ask --list shows the questions. Each is a view klartext.ask_NAME(since, until) in the store, to be used in SQL,\n' +
    'in Grafana, or here.',
  options: {
    list: { type: 'boolean', help: 'the questions there are' },
    since: { type: 'string', value: 'TIME', help: 'a span such as 15m, 2h, 7d, or a time (1h)' },
    until: { type: 'string', value: 'TIME', help: 'likewise (now)' },
    limit: { type: 'string', value: 'N', help: 'rows at most (50)' },
    sql: { type: 'boolean', help: 'print the statement, do not run it' },
    format: { type: 'string', value: 'NAME', help: 'any ClickHouse format' },
    json: { type: 'boolean', help: 'same as --format JSONEachRow' },
    data: { type: 'string', value: 'DIR', help: 'of the store (~/.local/share/klartext)' },
  },
  run,
}

const LIMIT_MAX = 1_000_000

async function run(input: CommandInput): Promise<number> {
  const [name, ...more] = input.positionals
  if (more.length > 0 || (name === undefined) !== (input.values.list === true)) {
    throw new UsageError('klartext ask: name one question, or --list them; see klartext ask --help')
  }
  const nowMs = Date.now()
  const sinceMs = parseTime(text(input, 'since') ?? '1h', '--since', nowMs)
  const untilMs = parseTime(text(input, 'until') ?? '0s', '--until', nowMs)
  if (sinceMs >= untilMs) throw new UsageError('klartext ask: --since must be before --until')
  const limit = wholeNumber(input, 'limit', 50, 1, LIMIT_MAX)
  const dataDir = text(input, 'data') ?? defaultDataDir()
  if (name === undefined && !isStore(dataDir)) return list(questionsShipped())
  const queries = await openQueries(dataDir)
  try {
    const questions = await questionsOfStore(queries)
    if (name === undefined) return list(questions)
    const names = questions.map((question) => question.name)
    if (!names.includes(name)) {
      throw new UsageError(
        `klartext ask: no question "${name}"; the nearest is ${nearest(name, names)}, klartext ask --list shows all`,
      )
    }
    const span = `since = '${clickHouseTime(sinceMs)}', until = '${clickHouseTime(untilMs)}'`
    const sql = `SELECT * FROM klartext.ask_${name}(${span}) LIMIT ${limit}`
    if (input.values.sql === true) process.stdout.write(`${sql}\n`)
    else process.stdout.write(await queries.run(sql, formatOf(input)))
  } finally {
    await queries.close()
  }
  return EXIT.done
}

function formatOf(input: CommandInput): string {
  const fallback = process.stdout.isTTY ? 'PrettyCompactMonoBlock' : 'TabSeparatedWithNames'
  return input.values.json === true ? 'JSONEachRow' : (text(input, 'format') ?? fallback)
}

function list(questions: readonly Question[]): number {
  const rows = questions.map(({ name, comment }) => {
    const colon = comment.indexOf(': ')
    return [name, `${comment.slice(0, colon)}?`, comment.slice(colon + 2)]
  })
  process.stdout.write(`${table(['question', '', 'answer'], rows)}\n`)
  return EXIT.done
}
