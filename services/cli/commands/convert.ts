import { extname } from 'node:path'
import { ArchiveSegmentLog } from '../../adapters/archive/segment_log.js'
import { ArchiveWriter } from '../../adapters/archive/writer.js'
import { PcapngWriter } from '../../adapters/pcap/writer.js'
import { EXIT, KlartextError, UsageError } from '../../core/errors.js'
import { DECODER_VERSION } from '../../core/flow.js'
import type { Segment } from '../../core/segment.js'
import { SegmentBatchWriter } from '../../core/wire/segment_batch.js'
import { ALL_TIME_US, replayRequest } from '../../replay/request.js'
import type { Command, CommandInput } from '../command.js'
import { inputFile, isSameFile } from '../input_file.js'
import { Progress } from '../output.js'
import { exportPcapng } from '../replay/export.js'

export const convert: Command = {
  name: 'convert',
  usage: 'IN OUT',
  summary: 'pcap or pcapng to a segment archive, or an archive to pcapng',
  details:
    'The form of OUT follows its name: .pcapng writes a capture with made-up TCP around the bytes, anything else an archive\n' +
    '(usually .ktseg). Addresses, times and bytes are kept; what was missing stays missing.',
  options: {},
  run,
}

/** As capturers do: a batch is closed at this payload size. */
const BATCH_BYTES = 256 * 1024
const BATCH_SEGMENTS = 4096

interface Sink {
  write(segments: readonly Segment[]): void
  close(): void
}

async function run(input: CommandInput): Promise<number> {
  const [from, to, ...more] = input.positionals
  if (from === undefined || to === undefined || more.length > 0) {
    throw new UsageError('klartext convert: name one IN and one OUT; see klartext convert --help')
  }
  const opened = inputFile(from)
  if (isSameFile(from, to)) throw new UsageError(`klartext convert: ${to} is both IN and OUT`)
  if (opened.kind === 'archive' && extname(to) === '.pcapng') {
    const log = new ArchiveSegmentLog(from)
    const [fromUs, toUs] = ALL_TIME_US
    return exportPcapng(to, log, replayRequest({ archive: log.path, fromUs, toUs }), null, true)
  }
  const sink: Sink = extname(to) === '.pcapng' ? new PcapngWriter(to) : new ArchiveSink(to)
  const progress = new Progress(from, opened.sizeBytes)
  let code: number = EXIT.done
  try {
    for await (const batch of opened.open({ onProgress: (bytes) => progress.at(bytes) }).batches()) sink.write(batch)
  } catch (error) {
    if (!(error instanceof KlartextError) || error.code === 'UNWRITABLE') throw error
    process.stderr.write(`${error.message}\n`)
    code = EXIT.losses
  } finally {
    progress.clear()
  }
  sink.close()
  return code
}

class ArchiveSink implements Sink {
  readonly #archive: ArchiveWriter
  readonly #batch = new SegmentBatchWriter({
    cluster: '',
    node: '',
    bootId: '',
    capturerVersion: DECODER_VERSION,
    sequence: 0,
  })

  constructor(path: string) {
    this.#archive = new ArchiveWriter(path)
  }

  write(segments: readonly Segment[]): void {
    for (const segment of segments) {
      this.#batch.add(segment)
      if (this.#batch.payloadBytes >= BATCH_BYTES || this.#batch.segmentCount >= BATCH_SEGMENTS) this.#flush()
    }
    this.#flush()
  }

  close(): void {
    this.#archive.close()
  }

  #flush(): void {
    if (this.#batch.segmentCount > 0) this.#archive.append(this.#batch.finish())
  }
}
