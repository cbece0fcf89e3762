/** The `klartext` command: finds the subcommand, and turns what went wrong into one line and an exit code. */
import { EXIT, KlartextError, UsageError } from '../core/errors.js'
import { DECODER_VERSION } from '../core/flow.js'
import { helpText, readWords } from './command.js'
import { COMMANDS } from './commands/index.js'
import { nearest } from './nearest.js'

export async function main(words: readonly string[]): Promise<number> {
  // A reader that has seen enough (| head) ends the command quietly.
  process.stdout.on('error', (error: NodeJS.ErrnoException) =>
    process.exit(error.code === 'EPIPE' ? EXIT.done : EXIT.failed),
  )
  try {
    return await dispatch(words)
  } catch (error) {
    process.stderr.write(`${describe(error)}\n`)
    return error instanceof UsageError ? EXIT.usage : EXIT.failed
  }
}

async function dispatch(words: readonly string[]): Promise<number> {
  const [name, ...rest] = words
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    process.stdout.write(await overview())
    return name === undefined ? EXIT.usage : EXIT.done
  }
  if (name === '--version' || name === '-V') {
    process.stdout.write(`klartext ${DECODER_VERSION}\n`)
    return EXIT.done
  }
  if (!Object.hasOwn(COMMANDS, name)) {
    const meant = nearest(name, Object.keys(COMMANDS))
    throw new UsageError(`klartext: unknown command "${name}"; the nearest is ${meant}, see klartext --help`)
  }
  const command = await COMMANDS[name]()
  const input = readWords(command, rest)
  if (input.values.help === true) {
    process.stdout.write(helpText(command))
    return EXIT.done
  }
  return await command.run(input)
}

async function overview(): Promise<string> {
  const commands = await Promise.all(Object.values(COMMANDS).map((load) => load()))
  const lines = commands.map((command) => `  ${command.name.padEnd(13)} ${command.summary}`)
  return `klartext: an open flight recorder for decrypted Kubernetes traffic\n\nCommands (klartext NAME --help says more):\n${lines.join('\n')}\n`
}

/** Errors of ours and of the system are said as they are; anything else is our mistake and shows where. */
function describe(error: unknown): string {
  if (error instanceof KlartextError) return error.message
  if (error instanceof Error && 'code' in error && 'syscall' in error) return `klartext: ${error.message}`
  return error instanceof Error ? `klartext: unexpected: ${error.stack ?? error.message}` : `klartext: ${String(error)}`
}
