/** The command of a service: all of them are started, checked and stopped the same way. */
import { runService } from '../adapters/system/run_service.js'
import { describeConfig } from '../core/config/config.js'
import type { ConfigSpec } from '../core/config/key.js'
import type { CommonSections } from '../core/config/shared.js'
import { EXIT, UsageError } from '../core/errors.js'
import type { ServiceDefinition } from '../core/service.js'
import type { Command } from './command.js'
import { CONFIG_OPTIONS, loadConfig, showConfig } from './config_options.js'

export function serviceCommand<S extends ConfigSpec & CommonSections>(definition: ServiceDefinition<S>): Command {
  const { name, summary, config: spec } = definition
  return {
    name,
    usage: '',
    summary,
    details:
      'Runs until SIGTERM or Ctrl-C and then ends in good order; a second signal ends it at once.\n' +
      `The operations server answers /livez, /readyz, /status and /metrics (Prometheus).\n\n${describeConfig(spec)}`,
    options: CONFIG_OPTIONS,
    run: async (input) => {
      if (input.positionals.length > 0)
        throw new UsageError(`klartext ${name} takes no words; see klartext ${name} --help`)
      const loaded = await loadConfig(spec, input)
      if (showConfig(input, loaded, (config) => definition.check?.(config))) return EXIT.done
      // At its end nothing that is still open may hold it.
      process.exit(await runService(definition, loaded))
    },
  }
}
