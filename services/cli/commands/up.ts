import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { serveClickHouseHttp } from '../../adapters/chdb/http_server.js'
import { defaultDataDir } from '../../adapters/chdb/store.js'
import { NativeSource } from '../../capture/native_source.js'
import { EXIT, UsageError } from '../../core/errors.js'
import { byteSize, type Command, type CommandInput, text, wholeNumber } from '../command.js'
import { startDetections } from '../detections.js'
import { Embedded } from '../embedded.js'
import { BackgroundReplays } from '../replay/background.js'
import { RECORD_BYTES_MIN, startRecording } from '../replay/record.js'
import { untilStopped } from '../signals.js'

export const up: Command = {
  name: 'up',
  usage: '',
  summary: 'capture this host into a local store and serve it as ClickHouse over HTTP',
  details:
    'Runs until Ctrl-C or SIGTERM; what was captured up to then is stored. Keeps metadata only: no bodies, query values\n' +
    'masked, header values from a short list.\n\n' +
    '--record keeps what was captured, with all its bytes, as archives in DIR, the newest up to --record-max: klartext replay\n' +
    'and klartext export read them. They hold plaintext and are readable for their owner only.',
  options: {
    port: { type: 'string', value: 'N', help: 'of the ClickHouse HTTP endpoint on 127.0.0.1 (8123)' },
    data: { type: 'string', value: 'DIR', help: 'of the store (~/.local/share/klartext)' },
    seconds: { type: 'string', value: 'N', help: 'stop by itself after N seconds' },
    record: { type: 'string', value: 'DIR', help: 'keep the newest segments there, to replay them' },
    'record-max': { type: 'string', value: 'SIZE', help: 'of all of them, such as 500M or 10G (1G)' },
    'no-detect': { type: 'boolean', help: 'do not run the detection rules' },
    'no-capture': { type: 'boolean', help: 'only serve what is stored already' },
  },
  run,
}

/** Tells `klartext sql` where a running `up` answers. */
export const ENDPOINT_FILE = 'endpoint'

async function run(input: CommandInput): Promise<number> {
  if (input.positionals.length > 0) throw new UsageError('klartext up takes no words; see klartext up --help')
  const port = wholeNumber(input, 'port', 8123, 1, 65_535)
  const seconds = wholeNumber(input, 'seconds', 0, 0, 31_536_000)
  const dataDir = text(input, 'data') ?? defaultDataDir()
  const capturing = input.values['no-capture'] !== true
  const record = text(input, 'record')
  const recordMax = byteSize(input, 'record-max', 1 << 30, RECORD_BYTES_MIN)
  if (record !== undefined && !capturing) throw new UsageError('klartext up: --record needs capture')
  const embedded = await Embedded.open({ dataDir })
  const endpointFile = join(dataDir, ENDPOINT_FILE)
  const replays = new BackgroundReplays(embedded.store, dataDir)
  const source = new NativeSource()
  try {
    const server = await serveClickHouseHttp(embedded.store, { port, host: '127.0.0.1' })
    writeFileSync(endpointFile, `http://127.0.0.1:${port}`)
    const say = (line: string) => process.stderr.write(`${line}\n`)
    // From here on a signal ends it in good order.
    const stopped = untilStopped(seconds)
    const recording = record === undefined ? null : startRecording(record, recordMax, dataDir, say)
    if (capturing) source.start()
    replays.start()
    say(capturing ? 'capturing this host: no keys, no bodies, query values masked' : 'serving the store, not capturing')
    say(`store  ${dataDir}`)
    if (record !== undefined) say(`record ${record}: all bytes, at most ${Math.round(recordMax / 2 ** 20)} MiB`)
    say(`query  klartext sql "SELECT * FROM klartext.flows LIMIT 5"`)
    say(`   or  curl 'http://127.0.0.1:${port}/?default_format=PrettyCompact' -d 'SELECT count() FROM klartext.flows'`)
    const endDetections = input.values['no-detect'] === true ? null : await startDetections(embedded.store, say)
    const onBatch = (batch: Buffer) => recording?.append(batch)
    const running = capturing ? embedded.run(source, onBatch) : new Promise<void>(() => {})
    await Promise.race([stopped, running])
    say('stopping')
    await endDetections?.()
    await replays.stop()
    if (capturing) {
      await source.stop()
      await running
    }
    if (recording !== null) {
      recording.close()
      if (recording.lostBatches > 0) say(`not recorded: ${recording.lostBatches} batches, ${recording.lostBytes} bytes`)
    }
    await server.close()
  } finally {
    // As long as it captures the process does not end.
    await source.stop()
    await replays.stop()
    rmSync(endpointFile, { force: true })
    await embedded.close()
  }
  return EXIT.done
}
