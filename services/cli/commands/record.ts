import { ArchiveWriter } from '../../adapters/archive/writer.js'
import { NativeSource } from '../../capture/native_source.js'
import { UsageError } from '../../core/errors.js'
import { type Command, type CommandInput, text, wholeNumber } from '../command.js'
import { sayLosses, takeUntil } from '../live.js'
import { untilStopped } from '../signals.js'

export const record: Command = {
  name: 'record',
  usage: '-o FILE',
  summary: "this host's traffic, live, to a segment archive",
  details:
    'Runs until Ctrl-C, SIGTERM or --seconds; everything captured up to then is in the file. The archive holds plaintext:\n' +
    'it is made readable for its owner only.',
  options: {
    output: { type: 'string', short: 'o', value: 'FILE', help: 'the archive, usually .ktseg' },
    seconds: { type: 'string', value: 'N', help: 'stop by itself after N seconds' },
    pid: { type: 'string', value: 'PID,...', help: 'these processes only' },
    'tls-only': { type: 'boolean', help: 'leave plain sockets out' },
  },
  run,
}

async function run(input: CommandInput): Promise<number> {
  const output = text(input, 'output')
  if (output === undefined || input.positionals.length > 0) {
    throw new UsageError('klartext record: name the archive with -o FILE; see klartext record --help')
  }
  const seconds = wholeNumber(input, 'seconds', 0, 0, 86_400)
  const pids = text(input, 'pid')?.split(',').map(Number)
  if (pids?.some((pid) => !Number.isInteger(pid) || pid <= 0))
    throw new UsageError('--pid takes process ids, divided by commas')
  const source = new NativeSource({ plain: input.values['tls-only'] !== true, ...(pids === undefined ? {} : { pids }) })
  // From here on a signal ends it in good order.
  const stopped = untilStopped(seconds)
  // An archive that is there already is only replaced where there is something to put in its place.
  source.start()
  let archive: ArchiveWriter
  try {
    archive = new ArchiveWriter(output)
    process.stderr.write(`recording to ${output}; Ctrl-C ends it\n`)
    await takeUntil(stopped, source, source.rawBatches(), (batch) => archive.append(batch))
    archive.close()
  } finally {
    await source.stop()
  }
  const stats = source.stats()
  process.stderr.write(
    `${stats?.segments ?? 0} segments, ${stats?.payloadBytes ?? 0} bytes of payload in ${archive.batches} batches\n`,
  )
  return sayLosses(source)
}
