/**
 * Follows one kind of object: a list in pages, then a watch from where the list ended, again and again. Bookmarks move the
 * place to resume from, so that a break costs no new list; where the server no longer has that place (410), a new list tells
 * what is there, and what is not in it any more is gone. Kubernetes documentation, "Efficient detection of changes".
 */
import type { Clock } from '../core/ports/clock.js'
import { ApiError, type KubernetesApi, type WatchEvent, type WatchHandler } from '../core/ports/kubernetes.js'

/** Small pages die young in memory; a list of 20 000 pods takes 200 of them. */
const PAGE_ITEMS = 100
/** The server ends a watch after so long; spread, so that many directories do not come back at once. */
const WATCH_SECONDS = 290
const WATCH_SPREAD_SECONDS = 60
const RETRY_MS_MIN = 250
const RETRY_MS_MAX = 5_000
const WELL_US = 1_000_000
/** The status of a server that no longer has the version a watch would go on from. */
export const GONE = 410

export interface ResourceEvents {
  /** Answers a key of the object, or null for one that cannot be read. */
  seen(object: unknown): string | null
  gone(key: string, object: unknown): void
  /** All there was at the beginning has been seen. */
  synced(): void
  failed(error: ApiError): void
}

/** Lets one kind list at a time: a page of objects takes many times the memory of what is kept of them. */
export class Turns {
  #last: Promise<void> = Promise.resolve()

  async take(action: () => Promise<void>): Promise<void> {
    const before = this.#last
    let done = () => {}
    this.#last = new Promise((resolve) => {
      done = resolve
    })
    await before
    try {
      await action()
    } finally {
      done()
    }
  }
}

export interface ResourceWatchOptions {
  readonly api: KubernetesApi
  readonly path: string
  readonly clock: Clock
  readonly events: ResourceEvents
  readonly turns?: Turns
  /** 0 to 1, to spread what many would do at once; by default Math.random. */
  readonly random?: () => number
}

export class ResourceWatch {
  readonly #api: KubernetesApi
  readonly #path: string
  readonly #clock: Clock
  readonly #events: ResourceEvents
  readonly #turns: Turns
  readonly #random: () => number
  /** Keys of what is there, as far as is known. */
  #present = new Set<string>()
  #resourceVersion = ''
  #failures = 0
  /** How often its place was forgotten, since it was last told anything. */
  #gone = 0
  /** Since when the watch that goes on now has been open (µs since 1970); null between two. */
  followingSinceUs: number | null = null

  constructor({ api, path, clock, events, turns = new Turns(), random = Math.random }: ResourceWatchOptions) {
    this.#api = api
    this.#path = path
    this.#clock = clock
    this.#events = events
    this.#turns = turns
    this.#random = random
  }

  /** Until the signal; failures are told and tried again, ever more slowly. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        if (this.#resourceVersion === '') await this.#turns.take(() => this.#list(signal))
        await this.#watch(signal)
        this.#failures = 0
      } catch (error) {
        if (signal.aborted) return
        const failure = error instanceof ApiError ? error : new ApiError(0, (error as Error).message, { cause: error })
        if (failure.status === GONE) {
          this.#resourceVersion = ''
          // That the server forgets is no trouble of its: only where it does so again and again is it asked less often.
          this.#failures = this.#gone
          this.#gone += 1
        }
        this.#events.failed(failure)
        await this.#pause(signal)
      }
    }
  }

  async #list(signal: AbortSignal): Promise<void> {
    const found = new Set<string>()
    let next = ''
    do {
      const query: Record<string, string> = { limit: String(PAGE_ITEMS) }
      if (next !== '') query.continue = next
      const page = await this.#api.list(this.#path, query, signal)
      for (const item of page.items) {
        const key = this.#events.seen(item)
        if (key === null) continue
        found.add(key)
        // Also of a list that breaks off: the next one may find it gone.
        this.#present.add(key)
      }
      next = page.next
      this.#resourceVersion = next === '' ? page.resourceVersion : ''
    } while (next !== '')
    for (const key of this.#present) if (!found.has(key)) this.#events.gone(key, null)
    this.#present = found
    this.#events.synced()
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const query = {
      watch: '1',
      allowWatchBookmarks: 'true',
      resourceVersion: this.#resourceVersion,
      timeoutSeconds: String(WATCH_SECONDS + Math.floor(this.#random() * WATCH_SPREAD_SECONDS)),
    }
    const handler: WatchHandler = {
      opened: () => {
        this.followingSinceUs = this.#clock.nowUs()
      },
      event: (event) => this.#event(event),
    }
    try {
      await this.#api.watch(this.#path, query, handler, signal)
    } finally {
      const sinceUs = this.followingSinceUs ?? Number.POSITIVE_INFINITY
      // What was well for a while is tried again at once.
      if (this.#clock.nowUs() - sinceUs > WELL_US) {
        this.#failures = 0
        this.#gone = 0
      }
      this.followingSinceUs = null
    }
  }

  #event({ type, object }: WatchEvent): void {
    const version = resourceVersionOf(object)
    if (version !== '') this.#resourceVersion = version
    this.#failures = 0
    this.#gone = 0
    if (type === 'BOOKMARK') return
    const key = this.#events.seen(object)
    if (key === null) return
    if (type !== 'DELETED') this.#present.add(key)
    else {
      this.#present.delete(key)
      this.#events.gone(key, object)
    }
  }

  async #pause(signal: AbortSignal): Promise<void> {
    const most = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** this.#failures)
    this.#failures += 1
    await this.#clock.sleep(most * (0.5 + this.#random() / 2), signal).catch(() => {})
  }
}

function resourceVersionOf(object: unknown): string {
  const version = (object as { metadata?: { resourceVersion?: unknown } } | null)?.metadata?.resourceVersion
  return typeof version === 'string' ? version : ''
}
