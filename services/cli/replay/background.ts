/** Replays of archives that are asked for while `klartext up` runs: looks for them in the store, and starts who runs them. */
import { type ChildProcess, fork } from 'node:child_process'
import { setPriority } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { SYSTEM_CLOCK } from '../../adapters/system/clock.js'
import type { Store } from '../../core/ports/store.js'
import { ReplayRegistry } from '../../replay/registry.js'

const CHILD = fileURLToPath(new URL('./child.js', import.meta.url))
const LOOK_MS = 1_000
/** Below capture, decoding and store of what is live. */
const NICE = 10

export class BackgroundReplays {
  readonly #registry: ReplayRegistry
  readonly #dataDir: string
  readonly #stop = new AbortController()
  #child: ChildProcess | null = null
  #looking: Promise<void> | null = null

  constructor(store: Store, dataDir: string) {
    this.#registry = new ReplayRegistry(store, SYSTEM_CLOCK)
    this.#dataDir = dataDir
  }

  start(): void {
    this.#looking = this.#look()
  }

  async #look(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      try {
        if (this.#child === null && (await this.#isAnyOpen()) && !signal.aborted) this.#begin()
      } catch {
        // The store says so elsewhere; it is looked at again.
      }
      await sleep(LOOK_MS, undefined, { signal }).catch(() => {})
    }
  }

  async #isAnyOpen(): Promise<boolean> {
    return (await this.#registry.list()).some(({ state, request }) => state === 'open' && request.archive !== '')
  }

  #begin(): void {
    const child = fork(CHILD, [this.#dataDir], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    this.#child = child
    child.once('error', () => {})
    child.once('exit', () => {
      this.#child = null
    })
    try {
      setPriority(child.pid as number, NICE)
    } catch {
      // Gone already, or not allowed here.
    }
  }

  /** What runs is stopped; it goes on when the next `up` finds it. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#looking
    const child = this.#child
    if (child === null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGTERM')
    await gone
  }
}
