/**
 * The usual command in one pass: an array of a few short bulk strings that is here whole, of a known command that neither
 * changes the state of the connection nor may carry a password. `RequestReader` reads all others, and says what is no command.
 */
import type { Cursor } from '../../../core/cursor.js'
import { latin1, utf8 } from '../../../core/text.js'
import { Command } from './command.js'
import { commandNamed, PLAIN } from './commands.js'
import { TEXT_CHARS_MAX } from './privacy.js'
import { ARG_BYTES_KEPT } from './request_reader.js'
import { CR, headBytes, LF, STAR, shortSize } from './resp.js'

const ARGS_MAX = 9
/** `*1\r\n$1\r\nX\r\n` */
const COMMAND_BYTES_MIN = 11
const SPACE = 32

/** The arguments, with a space behind each. */
const shown = Buffer.allocUnsafeSlow(TEXT_CHARS_MAX + 1)

export class PlainRequest {
  /** Of the command just read; the others as in `RequestReader`. */
  consumedBytes = 0
  argCount = 0
  sizeBytes = 0
  startUs = 0
  endUs = 0
  readonly gaps = 0
  readonly cut = false
  /** Where the key stands: in the input, or in `shown` where there is a text. */
  #keyFrom = 0
  #keyTo = 0
  #shownBytes = 0
  #ascii = false

  /** The command at the beginning of `input`, null if it is none for this reader. */
  parse(input: Cursor, withText: boolean): Command | null {
    const { bytes, pos, end } = input
    if (end - pos < COMMAND_BYTES_MIN || bytes[pos] !== STAR) return null
    const args = bytes[pos + 1] - 48
    if (args < 1 || args > ARGS_MAX || bytes[pos + 2] !== CR || bytes[pos + 3] !== LF) return null
    const size = shortSize(bytes, pos + 4, end)
    if (size < 0) return null
    const from = pos + 4 + headBytes(size)
    const spec = commandNamed(bytes, from, from + size)
    if (spec === null || spec.kind !== PLAIN || spec.hasSubcommand || spec.keyAt < 0) return null
    if (withText && spec.secretive) return null
    this.argCount = args
    const next = withText ? this.#show(bytes, pos + 4, end, spec.keyAt) : this.#pass(bytes, pos + 4, end, spec.keyAt)
    if (next < 0) return null
    this.consumedBytes = next - pos
    this.startUs = input.timeUs(pos)
    this.endUs = input.timeUs(next - 1)
    // Strings of their own: a slice of the text would be one more kind of string for all who read it, and slow them down.
    const read = withText && this.#ascii ? latin1 : utf8
    const key = read(withText ? shown : bytes, this.#keyFrom, this.#keyTo)
    return new Command(spec.name, PLAIN, key, withText ? read(shown, 0, this.#shownBytes) : '', this)
  }

  /** Passes over the arguments from `at` on, the name too; answers where they end, -1 if not all of them are short. */
  #pass(bytes: Buffer, at: number, end: number, keyAt: number): number {
    let next = at
    let sizeBytes = 0
    this.#keyFrom = this.#keyTo = 0
    for (let i = 0; i < this.argCount; i++) {
      const size = shortSize(bytes, next, end)
      if (size < 0) return -1
      const from = next + headBytes(size)
      if (i === keyAt && i > 0) {
        if (size >= ARG_BYTES_KEPT) return -1
        this.#keyFrom = from
        this.#keyTo = from + size
      }
      sizeBytes += size
      next = from + size + 2
    }
    this.sizeBytes = sizeBytes
    return next
  }

  /** The same, and copies them into `shown`. */
  #show(bytes: Buffer, at: number, end: number, keyAt: number): number {
    let next = at
    let to = 0
    let all = 0
    this.#keyFrom = this.#keyTo = 0
    for (let i = 0; i < this.argCount; i++) {
      const size = shortSize(bytes, next, end)
      if (size < 0 || size > ARG_BYTES_KEPT || to + size > TEXT_CHARS_MAX) return -1
      const from = next + headBytes(size)
      if (i === keyAt && i > 0) {
        this.#keyFrom = to
        this.#keyTo = to + size
      }
      for (let j = 0; j < size; j++) {
        const byte = bytes[from + j]
        all |= byte
        shown[to + j] = byte
      }
      to += size
      shown[to++] = SPACE
      next = from + size + 2
    }
    this.#ascii = all < 128
    this.#shownBytes = to - 1
    this.sizeBytes = to - this.argCount
    return next
  }
}
