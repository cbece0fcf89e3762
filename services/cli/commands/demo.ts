import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ArchiveSource } from '../../adapters/archive/reader.js'
import { ArchiveWriter } from '../../adapters/archive/writer.js'
import { NativeSource } from '../../capture/native_source.js'
import { whyNoCapture } from '../../capture/requirements.js'
import { EXIT, UsageError } from '../../core/errors.js'
import type { SegmentSource } from '../../core/ports/source.js'
import { REPO_ROOT } from '../../core/repo_root.js'
import { Segment } from '../../core/segment.js'
import { type Command, type CommandInput, text } from '../command.js'
import { printReport } from '../demo/report.js'
import { DemoServices } from '../demo/services.js'
import { Embedded, type LiveSource } from '../embedded.js'

export const demo: Command = {
  name: 'demo',
  usage: '',
  summary: 'small TLS services are started, captured, decoded and stored; prints what was seen and how to query it',
  details: 'Where this host cannot be captured (no root, no BPF) the same is shown from a bundled recording.',
  options: {
    data: { type: 'string', value: 'DIR', help: 'of the store (a new folder each time)' },
    save: { type: 'string', value: 'FILE', help: 'also keep what was captured as an archive' },
    recorded: { type: 'boolean', help: 'use the bundled recording' },
  },
  run,
}

const RECORDING = join(REPO_ROOT, 'services/cli/demo/recording.ktseg')
/** Probes are placed within milliseconds of a start; this lets the last of them settle. */
const SETTLE_MS = 300

async function run(input: CommandInput): Promise<number> {
  if (input.positionals.length > 0) throw new UsageError('klartext demo takes no words; see klartext demo --help')
  const dataDir = text(input, 'data') ?? mkdtempSync(join(tmpdir(), 'klartext-store-'))
  const print = (line: string) => process.stdout.write(`${line}\n`)
  const obstacle = input.values.recorded === true ? 'asked for' : whyNoCapture()
  const embedded = await Embedded.open({ dataDir })
  try {
    if (obstacle === null) await live(embedded, text(input, 'save'), print)
    else {
      print(`this is the bundled recording, not this host (${obstacle})`)
      await embedded.run(asIfNow(new ArchiveSource(RECORDING)))
    }
    await printReport(embedded.store, print, { dataDir, live: obstacle === null })
  } finally {
    await embedded.close()
  }
  return EXIT.done
}

async function live(embedded: Embedded, save: string | undefined, print: (line: string) => void): Promise<void> {
  const services = new DemoServices()
  const stopServices = () => {
    services.stop()
    process.exit(EXIT.failed)
  }
  process.once('SIGINT', stopServices)
  process.once('SIGTERM', stopServices)
  // A recording to pass on holds the demo's TLS only, not what else this host sends in clear.
  const native = new NativeSource({ plain: save === undefined })
  const drive = async () => {
    print('starting nginx and a Node service over TLS, calling them with curl and Python ...')
    await services.start()
    await services.drive()
    await sleep(SETTLE_MS)
  }
  try {
    print('capturing this host with eBPF: no keys, no proxies, no changes to the services')
    native.start()
    const running = embedded.run(save === undefined ? native : saving(native, save))
    try {
      await Promise.race([drive(), running])
    } finally {
      // As long as it captures the process does not end.
      await native.stop()
      await running
    }
  } finally {
    process.off('SIGINT', stopServices)
    process.off('SIGTERM', stopServices)
    services.stop()
  }
}

/** Moves the recording's times to the present, as a whole: old rows would leave the store by its TTL at once. */
function asIfNow(source: SegmentSource): SegmentSource {
  return {
    async *batches() {
      let shiftUs: number | null = null
      for await (const batch of source.batches()) {
        shiftUs ??= batch.length > 0 ? Date.now() * 1000 - batch[0].timeUs : null
        yield batch.map(
          (each) =>
            new Segment(
              each.connection,
              each.direction,
              each.position,
              each.length,
              each.payload,
              each.timeUs + (shiftUs ?? 0),
              each.timeRestNs,
              each.flags,
            ),
        )
      }
    },
    coverage: () => source.coverage(),
  }
}

/** Keeps the batches as they came. */
function saving(native: NativeSource, path: string): LiveSource {
  return {
    batches: () => native.batches(),
    async *rawBatches() {
      const archive = new ArchiveWriter(path)
      for await (const batch of native.rawBatches()) {
        archive.append(batch)
        yield batch
      }
      archive.close()
    },
    coverage: () => native.coverage(),
  }
}
