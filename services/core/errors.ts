/**
 * What a person or another system did wrong, or what the outside failed at. `message` is one line that names the
 * file, position, key or address concerned; it is printed as it is, without a stack.
 */
export class KlartextError extends Error {
  override readonly name = 'KlartextError'
  /** Stable, machine-readable, e.g. `CAPTURE_TRUNCATED`, `STORE_UNREACHABLE`. */
  readonly code: string
  /** True where the same call may succeed later. */
  readonly retryable: boolean

  constructor(code: string, message: string, options: { retryable?: boolean; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.retryable = options.retryable ?? false
  }
}

/** Wrong usage of a command: exit code 2. */
export class UsageError extends KlartextError {
  constructor(message: string) {
    super('USAGE', message)
  }
}

/** So many versions to come are believed to be such. */
const NEWER_MAX = 9

/**
 * What a newer klartext has written: not broken, and not to be passed over. Whoever meets it waits there until a newer one
 * takes its place.
 */
export class NewerSchemaError extends KlartextError {
  /** Throws it where `found` is one of the next versions; what lies beyond them is some other message. */
  static check(what: string, found: number, known: number): void {
    if (found > known && found <= known + NEWER_MAX) throw new NewerSchemaError(what, found, known)
  }

  constructor(what: string, found: number, known: number) {
    super('SCHEMA_NEWER', `${what} ${found}, this klartext knows up to ${known}: update it first`)
  }
}

/** Exit codes of every klartext command. */
export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  /** Done, but bytes, packets or flows were lost; the output lists which. */
  losses: 3,
} as const
