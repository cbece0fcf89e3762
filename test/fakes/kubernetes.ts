/**
 * The list and watch half of an API server, as the real one behaves: resource versions over all kinds, lists in pages of one
 * version, watches that tell each change a little later, bookmarks, 410 for versions that are forgotten, ends in between.
 * Broken on demand.
 */
import type { Clock } from '../../services/core/ports/clock.js'
import {
  ApiError,
  type KubernetesApi,
  type ListPage,
  type WatchEvent,
  type WatchHandler,
} from '../../services/core/ports/kubernetes.js'
import type { Random } from '../../services/core/random.js'

interface KubernetesObject {
  readonly metadata: { readonly uid: string; readonly [name: string]: unknown }
  readonly [name: string]: unknown
}

interface Change {
  readonly version: number
  readonly event: WatchEvent
}

interface Watcher {
  readonly path: string
  readonly handler: WatchHandler
  version: number
  readonly end: (error: ApiError | null) => void
}

const LATENCY_MS_MAX = 150
const BOOKMARK_MS = 10_000

export class FakeKubernetes implements KubernetesApi {
  readonly #clock: Clock
  readonly #random: Random
  readonly #objects = new Map<string, Map<string, KubernetesObject>>()
  readonly #changes = new Map<string, Change[]>()
  #version = 1
  /** Watches from before it are refused. */
  #oldest = 0
  readonly #watchers = new Set<Watcher>()
  /** What every call is answered with; null where the server is well. */
  failure: ApiError | null = null
  lists = 0
  watches = 0

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  put(path: string, object: KubernetesObject): void {
    const { uid } = object.metadata
    const objects = this.#of(path)
    const type = objects.has(uid) ? 'MODIFIED' : 'ADDED'
    const versioned = this.#versioned(object)
    objects.set(uid, versioned)
    this.#changed(path, type, versioned)
  }

  delete(path: string, uid: string): void {
    const objects = this.#of(path)
    const object = objects.get(uid)
    if (object === undefined) return
    objects.delete(uid)
    this.#changed(path, 'DELETED', this.#versioned(object))
  }

  /** Something that is no object goes down a watch. */
  garbage(path: string, object: unknown): void {
    this.#version += 1
    this.#changed(path, 'MODIFIED', object)
  }

  #versioned(object: KubernetesObject): KubernetesObject {
    this.#version += 1
    return { ...object, metadata: { ...object.metadata, resourceVersion: String(this.#version) } }
  }

  #of(path: string): Map<string, KubernetesObject> {
    let objects = this.#objects.get(path)
    if (objects === undefined) {
      objects = new Map()
      this.#objects.set(path, objects)
    }
    return objects
  }

  #changed(path: string, type: WatchEvent['type'], object: unknown): void {
    const changes = this.#changes.get(path) ?? []
    this.#changes.set(path, changes)
    changes.push({ version: this.#version, event: { type, object } })
    for (const watcher of this.#watchers) if (watcher.path === path) void this.#tell(watcher)
  }

  /** Changes reach a watch in order, each a little later; kinds among each other in whatever order. */
  async #tell(watcher: Watcher): Promise<void> {
    await this.#clock.sleep(this.#random.below(LATENCY_MS_MAX))
    if (!this.#watchers.has(watcher)) return
    for (const { version, event } of this.#after(watcher)) {
      watcher.version = version
      watcher.handler.event(event)
    }
  }

  /** What this watch has still to be told. */
  #after({ path, version }: Watcher): readonly Change[] {
    const changes = this.#changes.get(path) ?? []
    let from = changes.length
    while (from > 0 && changes[from - 1].version > version) from--
    return changes.slice(from)
  }

  /** etcd has been compacted: nobody can go on from an earlier version. */
  compact(): void {
    this.#oldest = this.#version
  }

  /** All watches end: in good order, or as when a connection is lost. */
  endWatches(error: ApiError | null): void {
    for (const { end } of [...this.#watchers]) end(error)
  }

  async list(path: string, query: Readonly<Record<string, string>>): Promise<ListPage> {
    this.#check()
    if (query.limit !== '1') this.lists += 1
    const items = [...this.#of(path).values()]
    const [version, from] = (query.continue ?? `${this.#version}/0`).split('/').map(Number)
    if (version < this.#oldest) throw new ApiError(410, 'The provided continue parameter is too old')
    const to = from + Number(query.limit)
    const next = to < items.length ? `${version}/${to}` : ''
    return { items: items.slice(from, to), resourceVersion: String(version), next }
  }

  async watch(
    path: string,
    query: Readonly<Record<string, string>>,
    handler: WatchHandler,
    signal: AbortSignal,
  ): Promise<void> {
    this.#check()
    this.watches += 1
    const version = Number(query.resourceVersion)
    if (version < this.#oldest) throw new ApiError(410, 'too old resource version')
    await new Promise<void>((resolve, reject) => {
      const watcher: Watcher = {
        path,
        handler,
        version,
        end: (error) => {
          this.#watchers.delete(watcher)
          signal.removeEventListener('abort', stop)
          if (error === null) resolve()
          else reject(error)
        },
      }
      const stop = () => watcher.end(null)
      this.#watchers.add(watcher)
      signal.addEventListener('abort', stop, { once: true })
      handler.opened()
      void this.#tell(watcher)
      void this.#bookmarks(watcher)
    })
  }

  async #bookmarks(watcher: Watcher): Promise<void> {
    for (;;) {
      await this.#clock.sleep(BOOKMARK_MS)
      if (!this.#watchers.has(watcher)) return
      if (this.#after(watcher).length > 0) continue
      watcher.version = this.#version
      const object = { metadata: { resourceVersion: String(this.#version) } }
      watcher.handler.event({ type: 'BOOKMARK', object })
    }
  }

  #check(): void {
    if (this.failure !== null) throw this.failure
  }
}
