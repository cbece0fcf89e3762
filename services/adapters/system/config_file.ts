/** Reads a configuration file: YAML, of which JSON is a part. */
import { readFileSync } from 'node:fs'
import type { ConfigSources } from '../../core/config/config.js'
import { KlartextError, UsageError } from '../../core/errors.js'

/** Far more than any configuration; a wrong path may lead to anything. */
const FILE_BYTES_MAX = 1 << 20

/** `path` null: no file, the environment only. Throws `BAD_FILE`, and UsageError with the line of what is not YAML. */
export async function configSources(
  path: string | null,
  environment: ConfigSources['environment'],
): Promise<ConfigSources> {
  const readText = (file: string) => readFileSync(file, 'utf8')
  return { file: path === null ? null : { name: path, value: await parseFile(path) }, environment, readText }
}

async function parseFile(path: string): Promise<unknown> {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new KlartextError('BAD_FILE', `configuration: ${(error as Error).message}`)
  }
  if (text.length > FILE_BYTES_MAX) throw new UsageError(`${path}: more than 1 MiB: is this a configuration?`)
  // Loaded here, since commands without a file should not pay for it.
  const { parse } = await import('yaml')
  try {
    return parse(text, { maxAliasCount: 100 })
  } catch (error) {
    throw new UsageError(`${path}: ${(error as Error).message.split('\n')[0].replace(/:$/, '')}`)
  }
}
