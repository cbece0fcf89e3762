/** SIGINT and SIGTERM: the first asks for an end in good order, the second ends at once. */
import { EXIT } from '../../core/errors.js'

export class StopSignals {
  readonly #stopping = new AbortController()
  readonly #onAgain: () => void
  readonly #listener = () => this.#signalled()

  /** `onAgain` is called right before a second signal ends the process. */
  constructor(onAgain: () => void) {
    this.#onAgain = onAgain
    process.on('SIGINT', this.#listener)
    process.on('SIGTERM', this.#listener)
  }

  get stopping(): AbortSignal {
    return this.#stopping.signal
  }

  #signalled(): void {
    if (!this.#stopping.signal.aborted) return this.#stopping.abort()
    this.#onAgain()
    process.exit(EXIT.failed)
  }

  close(): void {
    process.off('SIGINT', this.#listener)
    process.off('SIGTERM', this.#listener)
  }
}
