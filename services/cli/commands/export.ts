import { extname } from 'node:path'
import { defaultDataDir } from '../../adapters/chdb/store.js'
import { UsageError } from '../../core/errors.js'
import { ALL_TIME_US, replayRequest } from '../../replay/request.js'
import { type Command, type CommandInput, text } from '../command.js'
import { CONFIG_OPTION } from '../config_options.js'
import { isSameFile } from '../input_file.js'
import { openLog } from '../replay/access.js'
import { exportPcapng } from '../replay/export.js'
import { FILTER_OPTIONS, filterOf, spanUs, timeUs, WINDOW_OPTIONS } from '../replay/request_options.js'

export const exportCommand: Command = {
  name: 'export',
  usage: 'pcapng -o FILE',
  summary: 'decrypted segments of a past window as a capture for Wireshark and the like',
  details: `The segments come from Kafka (KAFKA_BROKERS, --config), an archive or a folder of archives (--archive), or what
klartext up --record has recorded. TCP, IP and Ethernet are made up around them: addresses, times and bytes are kept,
missing bytes stay missing, and what was left out or masked at capture stays so. Comments name gaps and, of Kafka's
segments, pods. A connection that has to do with the window is written with all that was read of it; one that was captured at both
ends is written once. The file holds plaintext: only its owner may read it.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done but something is missing that was asked for.`,
  options: {
    output: { type: 'string', short: 'o', value: 'FILE', help: 'the capture, usually .pcapng' },
    ...WINDOW_OPTIONS,
    trail: { type: 'string', value: 'SPAN', help: 'read on for so long after --to, for answers (1m)' },
    ...FILTER_OPTIONS,
    archive: { type: 'string', value: 'PATH', help: 'a segment archive, or a folder of them' },
    data: { type: 'string', value: 'DIR', help: 'of the store (~/.local/share/klartext)' },
    ...CONFIG_OPTION,
  },
  run,
}

async function run(input: CommandInput): Promise<number> {
  const [form, ...more] = input.positionals
  const output = text(input, 'output')
  if (form !== 'pcapng' || more.length > 0 || output === undefined || extname(output) === '.ktseg') {
    throw new UsageError('klartext export: write klartext export pcapng -o FILE; see klartext export --help')
  }
  const nowMs = Date.now()
  const [fromUs, toUs] = [timeUs(input, 'from', nowMs), timeUs(input, 'to', nowMs)]
  const [leadUs, trailUs] = [spanUs(input, 'lead'), spanUs(input, 'trail')]
  const filter = filterOf(input)
  const { log, archive, pods, close } = await openLog(input, text(input, 'data') ?? defaultDataDir(), 'export')
  try {
    if (archive === '' && (fromUs === null || toUs === null)) {
      throw new UsageError('klartext export: --from and --to say which window')
    }
    if (isSameFile(archive, output)) throw new UsageError(`klartext export: ${output} is the archive itself`)
    const lead = leadUs ?? (archive === '' ? null : Number.MAX_SAFE_INTEGER)
    const request = replayRequest({
      archive,
      fromUs: fromUs ?? ALL_TIME_US[0],
      toUs: toUs ?? ALL_TIME_US[1],
      ...(lead === null ? {} : { leadUs: lead }),
      ...(trailUs === null ? {} : { trailUs }),
      filter,
    })
    return await exportPcapng(output, log, request, await pods(request))
  } finally {
    await close()
  }
}
