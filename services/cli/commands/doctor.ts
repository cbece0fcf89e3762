import { loadAddon } from '../../capture/addon.js'
import { NativeSource } from '../../capture/native_source.js'
import { captureRequirements, whyNoCapture } from '../../capture/requirements.js'
import { EXIT } from '../../core/errors.js'
import type { Command, CommandInput } from '../command.js'
import { table } from '../output.js'

export const doctor: Command = {
  name: 'doctor',
  usage: '',
  summary: 'can this host be captured, which TLS libraries are hookable, and if not, why',
  options: { json: { type: 'boolean', help: 'one JSON object' } },
  run,
}

async function run(input: CommandInput): Promise<number> {
  const requirements = captureRequirements()
  const missing = whyNoCapture()
  const libraries = missing === null ? await tryOut() : []
  const addonOk = missing === null && loadAddon() !== null
  if (input.values.json === true) {
    process.stdout.write(`${JSON.stringify({ capture: addonOk, requirements, libraries })}\n`)
    return addonOk ? EXIT.done : EXIT.failed
  }
  for (const { name, met, detail } of requirements)
    process.stdout.write(`${met ? 'ok  ' : 'NO  '} ${name}: ${detail}\n`)
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
  return addonOk ? EXIT.done : EXIT.failed
}

/** Hooks everything for a moment: what works here is what works, not what should. */
async function tryOut() {
  const source = new NativeSource()
  source.start()
  const libraries = source.libraries().filter((library) => library.kind !== 'libcrypto')
  await source.stop()
  return libraries
}
