/** What a command is, and how its words are read. */
import { type ParseArgsConfig, parseArgs } from 'node:util'
import { UsageError } from '../core/errors.js'

export interface OptionHelp {
  readonly type: 'string' | 'boolean'
  readonly short?: string
  /** Shown as `--name VALUE`. */
  readonly value?: string
  readonly help: string
}

export interface Command {
  readonly name: string
  /** What follows the name, e.g. `FILE...`. */
  readonly usage: string
  /** One line for the list of commands. */
  readonly summary: string
  /** Further paragraphs of `--help`. */
  readonly details?: string
  readonly options: Readonly<Record<string, OptionHelp>>
  /** Answers the exit code. */
  run(input: CommandInput): Promise<number>
}

export interface CommandInput {
  readonly positionals: readonly string[]
  readonly values: Readonly<Record<string, string | boolean | undefined>>
}

export function readWords(command: Command, words: readonly string[]): CommandInput {
  const options: NonNullable<ParseArgsConfig['options']> = { help: { type: 'boolean', short: 'h' } }
  for (const [name, option] of Object.entries(command.options)) {
    options[name] = option.short === undefined ? { type: option.type } : { type: option.type, short: option.short }
  }
  try {
    const { values, positionals } = parseArgs({ args: [...words], options, allowPositionals: true, strict: true })
    return { positionals, values: values as CommandInput['values'] }
  } catch (error) {
    throw new UsageError(
      `klartext ${command.name}: ${(error as Error).message.split('. ')[0]}; see klartext ${command.name} --help`,
    )
  }
}

export function text(input: CommandInput, name: string): string | undefined {
  const value = input.values[name]
  return typeof value === 'string' ? value : undefined
}

/** A whole number from `min` to `max`, or wrong usage. */
export function wholeNumber(input: CommandInput, name: string, fallback: number, min: number, max: number): number {
  const value = text(input, name)
  if (value === undefined) return fallback
  const number = Number(value)
  if (!Number.isInteger(number) || number < min || number > max) {
    throw new UsageError(`--${name} takes a whole number from ${min} to ${max}, not "${value}"`)
  }
  return number
}

const SIZE_UNITS: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 }

/** `500M`, `10G`; in bytes. */
export function byteSize(input: CommandInput, name: string, fallback: number, min: number): number {
  const value = text(input, name)
  if (value === undefined) return fallback
  const match = /^(\d{1,12})([KMGT]?)$/i.exec(value)
  const bytes = match === null ? Number.NaN : Number(match[1]) * SIZE_UNITS[match[2].toUpperCase()]
  if (bytes >= min && bytes <= Number.MAX_SAFE_INTEGER) return bytes
  throw new UsageError(`--${name} takes a size such as 500M or 10G, at least ${min / 2 ** 20}M, not "${value}"`)
}

export function oneOf<T extends string>(input: CommandInput, name: string, fallback: T, allowed: readonly T[]): T {
  const value = text(input, name)
  if (value === undefined) return fallback
  if (!(allowed as readonly string[]).includes(value)) {
    throw new UsageError(`--${name} takes ${allowed.join(', ')}, not "${value}"`)
  }
  return value as T
}

export function helpText(command: Command): string {
  const lines = [`klartext ${command.name} ${command.usage}`.trim(), '', command.summary]
  if (command.details !== undefined) lines.push('', command.details)
  lines.push('', 'Options:')
  const options = { ...command.options, help: { type: 'boolean', short: 'h', help: 'this text' } as OptionHelp }
  for (const [name, option] of Object.entries(options)) {
    const words = `${option.short === undefined ? '    ' : `-${option.short}, `}--${name}${option.value ? ` ${option.value}` : ''}`
    lines.push(`  ${words.padEnd(28)} ${option.help}`)
  }
  return `${lines.join('\n')}\n`
}
