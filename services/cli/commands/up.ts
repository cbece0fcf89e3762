import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { serveClickHouseHttp } from '../../adapters/chdb/http_server.js'
import { defaultDataDir } from '../../adapters/chdb/store.js'
import { EXIT, UsageError } from '../../core/errors.js'
import { type Command, type CommandInput, text, wholeNumber } from '../command.js'
import { startDetections } from '../detections.js'
import { Embedded, liveSource } from '../embedded.js'
import { untilStopped } from '../signals.js'

export const up: Command = {
  name: 'up',
  usage: '',
  summary: 'capture this host into a local store and serve it as ClickHouse over HTTP',
  details:
    'Runs until Ctrl-C or SIGTERM; what was captured up to then is stored. Keeps metadata only: no bodies, query values\n' +
    'masked, header values from a short list.',
  options: {
    port: { type: 'string', value: 'N', help: 'of the ClickHouse HTTP endpoint on 127.0.0.1 (8123)' },
    data: { type: 'string', value: 'DIR', help: 'of the store (~/.local/share/klartext)' },
    seconds: { type: 'string', value: 'N', help: 'stop by itself after N seconds' },
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
  const embedded = await Embedded.open({ dataDir })
  const endpointFile = join(dataDir, ENDPOINT_FILE)
  try {
    const server = await serveClickHouseHttp(embedded.store, { port, host: '127.0.0.1' })
    writeFileSync(endpointFile, `http://127.0.0.1:${port}`)
    const say = (line: string) => process.stderr.write(`${line}\n`)
    const source = liveSource()
    // From here on a signal ends it in good order.
    const stopped = untilStopped(seconds)
    if (capturing) source.start()
    say(capturing ? 'capturing this host: no keys, no bodies, query values masked' : 'serving the store, not capturing')
    say(`store  ${dataDir}`)
    say(`query  klartext sql "SELECT * FROM klartext.flows LIMIT 5"`)
    say(`   or  curl 'http://127.0.0.1:${port}/?default_format=PrettyCompact' -d 'SELECT count() FROM klartext.flows'`)
    const endDetections = input.values['no-detect'] === true ? null : await startDetections(embedded.store, say)
    const running = capturing ? embedded.run(source) : new Promise<void>(() => {})
    await Promise.race([stopped, running])
    say('stopping')
    await endDetections?.()
    if (capturing) {
      await source.stop()
      await running
    }
    await server.close()
  } finally {
    rmSync(endpointFile, { force: true })
    await embedded.close()
  }
  return EXIT.done
}
