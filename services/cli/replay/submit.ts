/** klartext replay submit. */
import { EXIT, UsageError } from '../../core/errors.js'
import type { JobQueue } from '../../core/ports/jobs.js'
import type { Replay } from '../../replay/registry.js'
import { ALL_TIME_US, replayRequest } from '../../replay/request.js'
import { type Submitted, submitReplay } from '../../replay/submit.js'
import { type CommandInput, text } from '../command.js'
import { type OpenLog, openLog, openQueue, openStore, registryOf, runningUp, type StoreAccess } from './access.js'
import { asJson, exitCode, windowText } from './report.js'
import { filterOf, spanUs, timeUs } from './request_options.js'
import { runHere } from './run_here.js'
import { watchReplay } from './watch.js'

export async function submit(input: CommandInput): Promise<number> {
  const request = readRequest(input)
  const access = await openStore(text(input, 'data'), true)
  try {
    const source = await openLog(input, access.dataDir, 'replay submit')
    try {
      return await toRunner(input, access, source, request)
    } finally {
      await source.close()
    }
  } finally {
    await access.close()
  }
}

/** What is wrong with the words is said before anything is opened. */
function readRequest(input: CommandInput) {
  const nowMs = Date.now()
  const [fromUs, toUs] = [timeUs(input, 'from', nowMs), timeUs(input, 'to', nowMs)]
  const [leadUs, trailUs] = [spanUs(input, 'lead'), spanUs(input, 'trail')]
  const filter = filterOf(input)
  return (archive: string) => {
    if (archive === '' && (fromUs === null || toUs === null)) {
      throw new UsageError('klartext replay submit: --from and --to say which window')
    }
    // Of an archive all that comes before the window is read: it is there, and quickly decoded.
    const lead = leadUs ?? (archive === '' ? null : Number.MAX_SAFE_INTEGER)
    return replayRequest({
      archive,
      fromUs: fromUs ?? ALL_TIME_US[0],
      toUs: toUs ?? ALL_TIME_US[1],
      ...(lead === null ? {} : { leadUs: lead }),
      ...(trailUs === null ? {} : { trailUs }),
      filter,
    })
  }
}

async function toRunner(
  input: CommandInput,
  access: StoreAccess,
  { log, archive }: OpenLog,
  request: ReturnType<typeof readRequest>,
): Promise<number> {
  const registry = registryOf(access)
  const queue: JobQueue | null = archive === '' ? await openQueue() : null
  try {
    const { replay, submitted } = await submitReplay(request(archive), log, registry, queue)
    const up = archive !== '' && access.kind === 'joined' ? runningUp(access.dataDir) : null
    process.stderr.write(`${SAID[submitted]}: ${windowText(replay)}\n`)
    const isElsewhere = queue !== null || up !== null
    if (replay.state === 'open' && !isElsewhere) return await runHere(access, log, replay.id)
    if (input.values.wait === true) return await watchReplay(registry, replay.id)
    await print(input, access, replay)
    if (replay.state !== 'open') return exitCode(replay, await registry.progress(replay))
    const by = up === null ? 'the replay workers run it' : `klartext up (process ${up}) runs it`
    process.stderr.write(`${by}; klartext replay watch ${replay.id} shows how far it is\n`)
    return EXIT.done
  } finally {
    await queue?.close()
  }
}

const SAID: Readonly<Record<Submitted, string>> = {
  new: 'submitted',
  again: 'goes on where it stopped',
  there: 'is there already',
}

async function print(input: CommandInput, access: StoreAccess, replay: Replay): Promise<void> {
  const rows = await registryOf(access).progress(replay)
  process.stdout.write(input.values.json === true ? `${JSON.stringify(asJson(replay, rows))}\n` : `${replay.id}\n`)
}
