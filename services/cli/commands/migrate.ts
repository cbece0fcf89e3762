import { planMigrations } from '../../adapters/clickhouse/migrate.js'
import { ClickHouseStore } from '../../adapters/clickhouse/store.js'
import { configSources } from '../../adapters/system/config_file.js'
import { readConfig } from '../../core/config/config.js'
import { CLICKHOUSE_KEYS } from '../../core/config/shared.js'
import { EXIT, UsageError } from '../../core/errors.js'
import { type Command, type CommandInput, text } from '../command.js'
import { CONFIG_OPTION } from '../config_options.js'

export const migrate: Command = {
  name: 'migrate',
  usage: 'plan|apply',
  summary: "show or make what the ClickHouse at CLICKHOUSE_URL lacks of klartext's schema",
  details:
    'Files of schemas/clickhouse run once, in order; one that was changed after it ran is refused. The embedded store\n' +
    'brings itself up to date.',
  options: {
    url: { type: 'string', value: 'URL', help: 'http://user:password@host:8123 instead of CLICKHOUSE_URL' },
    ...CONFIG_OPTION,
  },
  run,
}

async function run(input: CommandInput): Promise<number> {
  const [action, ...more] = input.positionals
  if ((action !== 'plan' && action !== 'apply') || more.length > 0) {
    throw new UsageError('klartext migrate: say plan or apply; see klartext migrate --help')
  }
  const CLICKHOUSE_URL = text(input, 'url') ?? process.env.CLICKHOUSE_URL
  const sources = await configSources(text(input, 'config') ?? null, { ...process.env, CLICKHOUSE_URL })
  const { clickhouse } = readConfig({ clickhouse: CLICKHOUSE_KEYS }, sources).config
  const store = new ClickHouseStore({ url: clickhouse.url })
  try {
    const names =
      action === 'apply'
        ? await store.migrate()
        : (await planMigrations(store.migrationTarget())).map((migration) => migration.name)
    for (const name of names) process.stdout.write(`${name}\n`)
    const done = action === 'apply' ? 'ran' : 'to run'
    process.stderr.write(names.length === 0 ? 'the schema is up to date\n' : `${names.length} ${done}\n`)
  } finally {
    await store.close()
  }
  return EXIT.done
}
