import { EXIT, UsageError } from '../../core/errors.js'
import { serveSchemas } from '../../schema_registry/server.js'
import { type Command, type CommandInput, text, wholeNumber } from '../command.js'
import { untilStopped } from '../signals.js'

export const registry: Command = {
  name: 'registry',
  usage: '',
  summary: 'serve the Avro schemas of the topics, as a Confluent schema registry does (read only)',
  options: {
    host: { type: 'string', value: 'ADDRESS', help: 'to listen on (127.0.0.1)' },
    port: { type: 'string', value: 'N', help: '(8081)' },
    seconds: { type: 'string', value: 'N', help: 'stop by itself after N seconds' },
  },
  run,
}

async function run(input: CommandInput): Promise<number> {
  if (input.positionals.length > 0)
    throw new UsageError('klartext registry takes no words; see klartext registry --help')
  const host = text(input, 'host') ?? '127.0.0.1'
  const port = wholeNumber(input, 'port', 8081, 1, 65_535)
  const seconds = wholeNumber(input, 'seconds', 0, 0, 31_536_000)
  const server = await serveSchemas({
    host,
    port,
    onError: ({ message }) => process.stderr.write(`a connection was not accepted: ${message}\n`),
  })
  process.stderr.write(`schemas at http://${host}:${server.port}/subjects\n`)
  await untilStopped(seconds)
  await server.close()
  return EXIT.done
}
