import { EXIT, UsageError } from '../../core/errors.js'
import { parseReplayId } from '../../replay/request.js'
import { cancelReplay, removeReplay } from '../../replay/submit.js'
import { type Command, type CommandInput, text } from '../command.js'
import { CONFIG_OPTION } from '../config_options.js'
import { table } from '../output.js'
import { openQueueOrNone, openStore, registryOf, type StoreAccess } from '../replay/access.js'
import { asJson, describe, stateText, time, totals, windowText } from '../replay/report.js'
import { FILTER_OPTIONS, WINDOW_OPTIONS } from '../replay/request_options.js'
import { submit } from '../replay/submit.js'
import { watchReplay } from '../replay/watch.js'

export const replay: Command = {
  name: 'replay',
  usage: 'submit|list|show|watch|cancel|rm [ID]',
  summary: 'a past window decoded once more, into tables of its own',
  details: `submit asks for a replay of --from .. --to: the same request is the same replay, and goes on where it stopped.
list shows all; show ID, watch ID, cancel ID and rm ID are about one.

The segments come from Kafka (KAFKA_BROKERS, --config), and klartext replay-worker decodes them (REDIS_URL,
CLICKHOUSE_URL). Or they come from an archive or a folder of archives (--archive, or what klartext up --record has
recorded): then the klartext up that runs on this host decodes them, or this command itself. Flows and connections of
the window go to klartext.ID_flows and klartext.ID_connections (show names them); the live tables are
left alone. klartext diff live ID compares.

Exit codes: 0 done, 1 failed or cancelled, 2 wrong usage, 3 done but something of the window is missing.`,
  options: {
    ...WINDOW_OPTIONS,
    trail: { type: 'string', value: 'SPAN', help: 'read on for so long after --to, for answers (1m)' },
    ...FILTER_OPTIONS,
    archive: { type: 'string', value: 'PATH', help: 'a segment archive, or a folder of them' },
    wait: { type: 'boolean', help: 'submit: until it is over' },
    json: { type: 'boolean', help: 'JSON instead of text' },
    data: { type: 'string', value: 'DIR', help: 'of the store (~/.local/share/klartext)' },
    ...CONFIG_OPTION,
  },
  run,
}

type Action = (access: StoreAccess, id: string, input: CommandInput) => Promise<number>

const ACTIONS: Readonly<Record<string, Action>> = {
  list,
  show,
  watch: (access, id) => watchReplay(registryOf(access), id),
  cancel,
  rm: remove,
}

async function run(input: CommandInput): Promise<number> {
  const [action = '', word, ...more] = input.positionals
  const takesId = action !== 'submit' && action !== 'list'
  const isKnown = action === 'submit' || Object.hasOwn(ACTIONS, action)
  if (!isKnown || more.length > 0 || takesId !== (word !== undefined)) {
    throw new UsageError('klartext replay: say submit or list, or show, watch, cancel or rm with an ID; see --help')
  }
  if (action === 'submit') return submit(input)
  const id = word === undefined ? '' : parseReplayId(word)
  const access = await openStore(text(input, 'data'))
  try {
    return await ACTIONS[action](access, id, input)
  } finally {
    await access.close()
  }
}

async function list(access: StoreAccess, _id: string, input: CommandInput): Promise<number> {
  const registry = registryOf(access)
  const lines: (string | number)[][] = []
  for (const each of await registry.list()) {
    const rows = await registry.progress(each)
    if (input.values.json === true) {
      process.stdout.write(`${JSON.stringify(asJson(each, rows))}\n`)
      continue
    }
    const all = totals(each, rows)
    lines.push([each.id, stateText(each, all), time(each.submittedUs), windowText(each), all.flows])
  }
  if (input.values.json === true) return EXIT.done
  if (lines.length === 0) process.stderr.write('there are no replays\n')
  else process.stdout.write(`${table(['replay', 'state', 'submitted', 'window', 'flows'], lines)}\n`)
  return EXIT.done
}

async function show(access: StoreAccess, id: string, input: CommandInput): Promise<number> {
  const registry = registryOf(access)
  const found = await registry.get(id)
  const rows = await registry.progress(found)
  process.stdout.write(input.values.json === true ? `${JSON.stringify(asJson(found, rows))}\n` : describe(found, rows))
  return EXIT.done
}

async function cancel(access: StoreAccess, id: string): Promise<number> {
  const queue = await openQueueOrNone()
  try {
    const { state } = await cancelReplay(id, registryOf(access), queue)
    process.stderr.write(state === 'cancelled' ? `${id} is cancelled; what it stored is kept\n` : `${id} is ${state}\n`)
  } finally {
    await queue?.close()
  }
  return EXIT.done
}

async function remove(access: StoreAccess, id: string): Promise<number> {
  const queue = await openQueueOrNone()
  try {
    await removeReplay(id, registryOf(access), queue)
    process.stderr.write(`${id} and its tables are gone\n`)
  } finally {
    await queue?.close()
  }
  return EXIT.done
}
