import { loadAddon } from '../../capture/addon.js'
import { NativeSource } from '../../capture/native_source.js'
import { captureRequirements, whyNoCapture } from '../../capture/requirements.js'
import { EXIT } from '../../core/errors.js'
import type { Command, CommandInput } from '../command.js'
import { table } from '../output.js'
import { configuredServers } from '../servers.js'

export const doctor: Command = {
  name: 'doctor',
  usage: '',
  summary:
    'can this host be captured, which TLS libraries are hookable, do Kafka, ClickHouse and Redis answer; if not, why',
  details:
    'Servers are looked for where KAFKA_BROKERS, CLICKHOUSE_URL and REDIS_URL name them. Ends with 1 where one is missing.',
  options: { json: { type: 'boolean', help: 'one JSON object' } },
  run,
}

async function run(input: CommandInput): Promise<number> {
  const servers = await configuredServers()
  const requirements = captureRequirements()
  const missing = whyNoCapture()
  const libraries = missing === null ? await tryOut() : []
  const addonOk = missing === null && loadAddon() !== null
  const code = addonOk && servers.every(({ answers }) => answers) ? EXIT.done : EXIT.failed
  if (input.values.json === true) {
    process.stdout.write(`${JSON.stringify({ capture: addonOk, requirements, servers, libraries })}\n`)
    return code
  }
  for (const { name, met, detail } of requirements)
    process.stdout.write(`${met ? 'ok  ' : 'NO  '} ${name}: ${detail}\n`)
  for (const { name, answers, detail } of servers)
    process.stdout.write(`${answers ? 'ok  ' : 'NO  '} ${name}: ${detail}\n`)
  if (libraries.length > 0) {
    const rows = libraries.map((library) => [
      library.hooked ? 'hooked' : 'not hooked',
      `${library.kind} ${library.version}`.trim(),
      library.processes
        .map(({ pid, comm }) => `${comm}(${pid})`)
        .slice(0, 4)
        .join(' ') || '-',
      library.path,
      library.hooked ? library.detail : library.reason,
    ])
    process.stdout.write(`\n${table(['STATE', 'LIBRARY', 'PROCESSES', 'FILE', 'PROBES OR REASON'], rows)}\n`)
  }
  return code
}

/** Hooks everything for a moment: what works here is what works, not what should. */
async function tryOut() {
  const source = new NativeSource()
  source.start()
  const libraries = source.libraries().filter((library) => library.kind !== 'libcrypto')
  await source.stop()
  return libraries
}
