/**
 * An answer that was captured before the command that took it. Either both crossed on the way, or the answer is one too many:
 * its own command was never captured, and the answer to this one is still to come. What comes next shows which.
 */
import type { StateReader, StateWriter } from '../../../core/state.js'
import { Command } from './command.js'
import { SYNC } from './commands.js'
import { copyOfReply, type Reply } from './reply.js'

/** What PSYNC is answered with, and no other command. */
export const RESYNCHRONISING = /^(?:FULLRESYNC [0-9a-f]{40} \d+|CONTINUE(?: [0-9a-f]{40})?)$/

export class Crossing {
  readonly command: Command
  readonly reply: Reply

  constructor(command: Command, reply: Reply) {
    this.command = command
    this.reply = reply
  }

  static save(crossing: Crossing | null, out: StateWriter): void {
    out.bool(crossing !== null)
    if (crossing === null) return
    crossing.command.save(out)
    out.string(JSON.stringify(crossing.reply))
  }

  static restore(state: StateReader): Crossing | null {
    if (!state.bool()) return null
    const command = Command.restore(state)
    try {
      return new Crossing(command, copyOfReply(JSON.parse(state.string()) as Reply))
    } catch {
      state.failed = true
      return null
    }
  }
}

/** `command` is the newest. Only what was captured before it is in doubt, and nothing that says what it answers. */
export function mayBeSurplus(command: Command, reply: Reply): boolean {
  return reply.startUs < command.startUs && !(command.kind === SYNC && RESYNCHRONISING.test(reply.line))
}
