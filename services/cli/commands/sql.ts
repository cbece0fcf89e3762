import { defaultDataDir } from '../../adapters/chdb/store.js'
import { EXIT, UsageError } from '../../core/errors.js'
import { type Command, type CommandInput, text } from '../command.js'
import { openQueries } from '../query.js'

export const sql: Command = {
  name: 'sql',
  usage: '"SELECT ..."',
  summary: 'query the local store, or the ClickHouse at CLICKHOUSE_URL',
  details: 'Tables: klartext.flows, klartext.connections, klartext.coverage.',
  options: {
    format: {
      type: 'string',
      value: 'NAME',
      help: 'any ClickHouse format (PrettyCompactMonoBlock on a terminal, else TabSeparatedWithNames)',
    },
    json: { type: 'boolean', help: 'same as --format JSONEachRow' },
    data: { type: 'string', value: 'DIR', help: 'of the store (~/.local/share/klartext)' },
  },
  run,
}

async function run(input: CommandInput): Promise<number> {
  const [statement, ...more] = input.positionals
  if (statement === undefined || more.length > 0) {
    throw new UsageError('klartext sql: give one statement in quotes; see klartext sql --help')
  }
  const fallback = process.stdout.isTTY ? 'PrettyCompactMonoBlock' : 'TabSeparatedWithNames'
  const format = input.values.json === true ? 'JSONEachRow' : (text(input, 'format') ?? fallback)
  const queries = await openQueries(text(input, 'data') ?? defaultDataDir())
  try {
    process.stdout.write(await queries.run(statement, format))
  } finally {
    await queries.close()
  }
  return EXIT.done
}
