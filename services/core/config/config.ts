/** A service's configuration: defaults, a file over them, the environment over both. What is wrong is named by where it stands. */
import { KlartextError, UsageError } from '../errors.js'
import type { ConfigOf, ConfigSpec, Key } from './key.js'

export interface ConfigSources {
  /** The parsed file; `name` is how messages call it. */
  readonly file: { readonly name: string; readonly value: unknown } | null
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Of a file that holds a secret. */
  readText(path: string): string
}

export type Origin = 'default' | 'file' | 'environment'

export interface LoadedConfig<S extends ConfigSpec> {
  readonly spec: S
  readonly config: ConfigOf<S>
  /** By `section.key`. */
  readonly origins: ReadonlyMap<string, Origin>
}

type Section = Readonly<Record<string, unknown>>

/** Throws UsageError: an unknown key, a value that does not fit, a key that must be set. Secrets are never repeated. */
export function readConfig<S extends ConfigSpec>(spec: S, sources: ConfigSources): LoadedConfig<S> {
  const inFile = fileSections(spec, sources.file)
  const origins = new Map<string, Origin>()
  const config: Record<string, Record<string, unknown>> = {}
  for (const [section, keys] of Object.entries(spec)) {
    config[section] = {}
    for (const [name, key] of Object.entries(keys)) {
      const found =
        fromEnvironment(key, sources) ?? fromFile(key, `${section}.${name}`, inFile[section] ?? {}, name, sources)
      const value = found?.value ?? key.fallback
      if (value === undefined) throw new UsageError(`${key.env} is not set: ${key.takes}`)
      config[section][name] = value
      origins.set(`${section}.${name}`, found?.origin ?? 'default')
    }
  }
  return { spec, config: config as ConfigOf<S>, origins }
}

interface Found {
  readonly value: unknown
  readonly origin: Origin
}

function fromEnvironment(key: Key<unknown>, sources: ConfigSources): Found | null {
  const { environment } = sources
  const given = environment[key.env] ?? ''
  const path = key.secret ? (environment[`${key.env}_FILE`] ?? '') : ''
  if (given === '' && path === '') return null
  const value = given === '' ? textOf(path, `${key.env}_FILE`, sources) : given
  return { value: valueOf(key, value, key.env), origin: 'environment' }
}

function fromFile(
  key: Key<unknown>,
  path: string,
  section: Section,
  name: string,
  sources: ConfigSources,
): Found | null {
  const where = `${sources.file?.name}: ${path}`
  const holder = section[`${name}File`]
  if (key.secret && holder !== undefined) {
    if (typeof holder !== 'string') throw new UsageError(`${where}File takes the path of a file`)
    return { value: valueOf(key, textOf(holder, `${where}File`, sources), where), origin: 'file' }
  }
  const given = section[name]
  return given === undefined || given === null ? null : { value: valueOf(key, given, where), origin: 'file' }
}

function valueOf(key: Key<unknown>, given: unknown, where: string): unknown {
  const value = key.read(given)
  if (value !== undefined) return value
  const shown = key.secret || String(given).includes('@') ? '' : `, not ${quoted(given)}`
  throw new UsageError(`${where} takes ${key.takes}${shown}`)
}

const SHOWN_CHARS_MAX = 100

function quoted(given: unknown): string {
  const shown = typeof given === 'string' ? given : JSON.stringify(given)
  return `"${shown.slice(0, SHOWN_CHARS_MAX)}"`
}

function textOf(path: string, where: string, sources: ConfigSources): string {
  try {
    return sources.readText(path).trimEnd()
  } catch (error) {
    throw new KlartextError('BAD_FILE', `${where}: ${(error as Error).message}`)
  }
}

/** The file's sections, all of whose keys are known. */
function fileSections(spec: ConfigSpec, file: ConfigSources['file']): Readonly<Record<string, Section>> {
  if (file === null || file.value === null || file.value === undefined) return {}
  const sections = mapping(file.value, file.name)
  for (const [section, values] of Object.entries(sections)) {
    if (!Object.hasOwn(spec, section)) throw unknownKey(file.name, section, Object.keys(spec))
    if (values === null) continue
    for (const name of Object.keys(mapping(values, `${file.name}: ${section}`))) {
      const isHolder = name.endsWith('File') && spec[section][name.slice(0, -'File'.length)]?.secret === true
      if (!Object.hasOwn(spec[section], name) && !isHolder) {
        throw unknownKey(file.name, `${section}.${name}`, Object.keys(spec[section]))
      }
    }
  }
  return Object.fromEntries(Object.entries(sections).map(([name, values]) => [name, (values ?? {}) as Section]))
}

function mapping(value: unknown, where: string): Section {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Section
  throw new UsageError(`${where} takes keys and values, one per line`)
}

function unknownKey(file: string, key: string, known: readonly string[]): UsageError {
  return new UsageError(`${file}: unknown key "${key.slice(0, SHOWN_CHARS_MAX)}"; known: ${known.join(', ')}`)
}

/** The effective values as a file that may be used again (but for secrets), each with where it comes from. */
export function printConfig<S extends ConfigSpec>({ spec, config, origins }: LoadedConfig<S>): string {
  const lines: string[] = []
  for (const [section, keys] of Object.entries(spec)) {
    lines.push(`${section}:`)
    for (const [name, key] of Object.entries(keys)) {
      const value = (config[section] as Record<string, unknown>)[name]
      const unit = key.unit === '' ? '' : `${key.unit}, `
      const shown = `  ${name}: ${JSON.stringify(key.show(value))}`
      lines.push(`${shown.padEnd(40)} # ${unit}${key.env}, ${origins.get(`${section}.${name}`)}`)
    }
  }
  return `${lines.join('\n')}\n`
}

/** For `--help`: all keys with what they take. */
export function describeConfig(spec: ConfigSpec): string {
  const lines = ['Keys (file: section and key; environment: the name in capitals):']
  for (const [section, keys] of Object.entries(spec)) {
    lines.push(`  ${section}`)
    for (const [name, key] of Object.entries(keys)) {
      const { fallback } = key
      const usual = fallback === undefined ? 'must be set' : fallback === '' ? '' : JSON.stringify(key.show(fallback))
      const unit = key.unit === '' ? '' : ` ${key.unit}`
      const after = usual === '' ? '' : ` (${usual}${fallback === undefined ? '' : unit})`
      lines.push(`    ${name.padEnd(20)} ${key.env.padEnd(34)} ${key.help}${after}`)
    }
  }
  return lines.join('\n')
}
