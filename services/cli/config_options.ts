/** Commands that are configured by a file and the environment: `--config`, `--check`, `--print`. */
import { configSources } from '../adapters/system/config_file.js'
import { type LoadedConfig, printConfig, readConfig } from '../core/config/config.js'
import type { ConfigSpec } from '../core/config/key.js'
import { type CommandInput, type OptionHelp, text } from './command.js'

export const CONFIG_OPTION: Readonly<Record<string, OptionHelp>> = {
  config: { type: 'string', value: 'FILE', help: 'YAML or JSON; the environment wins over it' },
}

export const CONFIG_OPTIONS: Readonly<Record<string, OptionHelp>> = {
  ...CONFIG_OPTION,
  check: { type: 'boolean', help: 'read the configuration, say what is wrong with it, and end' },
  print: { type: 'boolean', help: 'show the values in effect without secrets, and end' },
}

export async function loadConfig<S extends ConfigSpec>(spec: S, input: CommandInput): Promise<LoadedConfig<S>> {
  return readConfig(spec, await configSources(text(input, 'config') ?? null, process.env))
}

/** Does what `--check` or `--print` asks for; false where neither is given. `check` throws what is wrong. */
export function showConfig<S extends ConfigSpec>(
  input: CommandInput,
  loaded: LoadedConfig<S>,
  check: (config: LoadedConfig<S>['config']) => void,
): boolean {
  const { check: isCheck, print: isPrint } = input.values
  if (isCheck !== true && isPrint !== true) return false
  check(loaded.config)
  if (isPrint === true) process.stdout.write(printConfig(loaded))
  else process.stderr.write('the configuration is right\n')
  return true
}
