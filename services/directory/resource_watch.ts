/**
 * Follows one kind of object: a list in pages, then a watch from where the list ended, again and again. Bookmarks move the
 * place to resume from, so that a break costs no new list; where the server no longer has that place (410), a new list tells
 * what is there, and what is not in it any more is gone. Kubernetes documentation, "Efficient detection of changes".
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { ApiError, type KubernetesApi, type WatchEvent } from '../core/ports/kubernetes.js'

const PAGE_ITEMS = 500
/** The server ends a watch after so long; spread, so that many directories do not come back at once. */
const WATCH_SECONDS = 290
const WATCH_SPREAD_SECONDS = 60
const RETRY_MS_MIN = 250
const RETRY_MS_MAX = 30_000
const GONE = 410

export interface ResourceEvents {
  /** Answers a key of the object, or null for one that cannot be read. */
  seen(object: unknown): string | null
  gone(key: string, object: unknown): void
  /** All there was at the beginning has been seen. */
  synced(): void
  failed(error: ApiError): void
}

export class ResourceWatch {
  readonly #api: KubernetesApi
  readonly #path: string
  readonly #events: ResourceEvents
  /** Keys of what is there, as far as is known. */
  #present = new Set<string>()
  #resourceVersion = ''
  #failures = 0

  constructor(api: KubernetesApi, path: string, events: ResourceEvents) {
    this.#api = api
    this.#path = path
    this.#events = events
  }

  /** Until the signal; failures are told and tried again, ever more slowly. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        if (this.#resourceVersion === '') await this.#list(signal)
        await this.#watch(signal)
        this.#failures = 0
      } catch (error) {
        if (signal.aborted) return
        const failure = error instanceof ApiError ? error : new ApiError(0, (error as Error).message, { cause: error })
        if (failure.status === GONE) this.#resourceVersion = ''
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
        if (key !== null) found.add(key)
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
      timeoutSeconds: String(WATCH_SECONDS + Math.floor(Math.random() * WATCH_SPREAD_SECONDS)),
    }
    await this.#api.watch(this.#path, query, (event) => this.#event(event), signal)
  }

  #event({ type, object }: WatchEvent): void {
    const version = resourceVersionOf(object)
    if (version !== '') this.#resourceVersion = version
    this.#failures = 0
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
    await sleep(most * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => {})
  }
}

function resourceVersionOf(object: unknown): string {
  const version = (object as { metadata?: { resourceVersion?: unknown } } | null)?.metadata?.resourceVersion
  return typeof version === 'string' ? version : ''
}
