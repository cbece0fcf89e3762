/** Segments of a log to a pcapng file. */
import { PcapngWriter } from '../../adapters/pcap/writer.js'
import { EXIT } from '../../core/errors.js'
import { DECODER_VERSION } from '../../core/flow.js'
import type { PodDirectory } from '../../core/ports/pods.js'
import type { SegmentLog } from '../../core/ports/segment_log.js'
import type { ReplayRequest } from '../../core/replay.js'
import { defaultPolicy, FlowPolicy } from '../../decode/policy.js'
import { PROTOCOLS } from '../../decode/protocols/registry.js'
import { SegmentExport } from '../../replay/export.js'
import { filterText } from '../../replay/filter.js'
import { sentLater, time } from './report.js'

/** Answers the exit code; what was left out is said on standard error. */
export async function exportPcapng(
  path: string,
  log: SegmentLog,
  request: ReplayRequest,
  pods: PodDirectory | null,
  quiet = false,
): Promise<number> {
  const policy = new FlowPolicy(defaultPolicy('metadata'))
  const exported = new SegmentExport({ log, request, protocols: PROTOCOLS, policy, pods })
  await exported.prepare()
  const writer = new PcapngWriter(path, {
    about: aboutFile(request),
    aboutConnection: (info) => exported.about(info),
    names: exported.names(),
  })
  try {
    await exported.write(writer)
  } finally {
    writer.close()
  }
  const { connections, twins, segments, bytes, unreadable, lostBeforeUs } = exported.summary
  const say = (line: string) => process.stderr.write(`${line}\n`)
  if (!quiet) say(`${connections} connections, ${segments} segments, ${bytes} bytes to ${path}`)
  if (twins > 0 && !quiet)
    say(`${twins} connections were captured at a second place too: each conversation is written once`)
  if (writer.missingBytes > 0 && !quiet)
    say(`${writer.missingBytes} bytes passed and were not captured: comments say where`)
  const later = sentLater(request)
  if (later !== '' && !quiet) say(later)
  if (lostBeforeUs > 0) say(`segments before ${time(lostBeforeUs)} are not kept any more: the window is not complete`)
  if (writer.skippedSegments > 0) say(`${writer.skippedSegments} segments of unix sockets have no packets`)
  if (unreadable > 0) say(`${unreadable} segment batches could not be read`)
  return lostBeforeUs + unreadable + writer.skippedSegments > 0 ? EXIT.losses : EXIT.done
}

function aboutFile({ fromUs, toUs, filter, archive }: ReplayRequest): string {
  const from = archive === '' ? 'klartext.segments' : archive
  const window = fromUs === 0 ? '' : `, ${time(fromUs)} to ${time(toUs)}`
  const only = filterText(filter)
  return `klartext ${DECODER_VERSION}: decrypted segments of ${from}${window}${only === '' ? '' : `, ${only}`}; TCP, IP and Ethernet are made up`
}
