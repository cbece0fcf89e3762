/** Reads a configuration file: YAML, of which JSON is a part. */
import type { ConfigSources } from '../../core/config/config.js'
import { UsageError } from '../../core/errors.js'
import { readTextFile } from './text_file.js'

/** `path` null: no file, the environment only. Throws `BAD_FILE`, and UsageError with the line of what is not YAML. */
export async function configSources(
  path: string | null,
  environment: ConfigSources['environment'],
): Promise<ConfigSources> {
  const file = path === null ? null : { name: path, value: await parseFile(path) }
  return { file, environment, readText: readTextFile }
}

async function parseFile(path: string): Promise<unknown> {
  const text = readTextFile(path, 'configuration: ')
  // Loaded here, since commands without a file should not pay for it.
  const { parse } = await import('yaml')
  try {
    return parse(text, { maxAliasCount: 100 })
  } catch (error) {
    throw new UsageError(`${path}: ${(error as Error).message.split('\n')[0].replace(/:$/, '')}`)
  }
}
