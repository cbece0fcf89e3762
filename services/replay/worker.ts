/**
 * The replay worker: takes parts of replays from the queue and runs them. What is to be done is in the store; from there a
 * queue that was lost is filled again.
 */
import { KlartextError } from '../core/errors.js'
import { DECODER_VERSION } from '../core/flow.js'
import type { Clock } from '../core/ports/clock.js'
import type { JobQueue } from '../core/ports/jobs.js'
import type { PodDirectory } from '../core/ports/pods.js'
import type { SegmentLog } from '../core/ports/segment_log.js'
import type { Store } from '../core/ports/store.js'
import type { Protocol } from '../core/protocol.js'
import type { ReplayRequest } from '../core/replay.js'
import { NAMES_WAIT_MS } from '../decode/names.js'
import type { FlowPolicy } from '../decode/policy.js'
import { parseJobName } from './job_name.js'
import { ReplayMetrics } from './metrics.js'
import { PartReplay, type PartReplayOptions } from './part_replay.js'
import { type Patience, patiently } from './patience.js'
import { type Replay, ReplayRegistry } from './registry.js'
import { enqueue } from './submit.js'

export interface ReplayWorkerOptions {
  readonly store: Store
  readonly queue: JobQueue
  readonly clock: Clock
  readonly protocols: readonly Protocol[]
  readonly policy: FlowPolicy
  /** Which replays are run here; others are left to others. */
  readonly takes: (replay: Replay) => boolean
  /** Where the segments of a request are. */
  readonly log: (request: ReplayRequest) => SegmentLog
  /** What flows of this window are named by; without it their ends stay unknown. */
  readonly pods?: (request: ReplayRequest) => Promise<PodDirectory>
  /** As of the live decode workers, see decode/names.ts. */
  readonly namesWaitUs?: number
  readonly checkpointUs?: number
  /** Parts at a time; each takes a core. */
  readonly concurrency?: number
  /** Between two looks for replays that wait in the store and not in the queue. */
  readonly lookMs?: number
  /** Between two looks whether a replay was cancelled. */
  readonly cancelMs?: number
  /** Told what went wrong. */
  readonly onError?: (error: unknown) => void
  /** Called again and again while it lives. */
  readonly onProgress?: () => void
}

/** Of the job queue. */
export const REPLAY_QUEUE = 'klartext-replay'
const LOOK_MS = 10_000
const CANCEL_MS = 1_000
const CHECKPOINT_US = 2e6

export class ReplayWorker {
  readonly #options: ReplayWorkerOptions
  readonly registry: ReplayRegistry
  readonly metrics = new ReplayMetrics()
  #looking: Promise<void> | null = null
  readonly #stopping = new AbortController()
  readonly #running = new Set<string>()

  constructor(options: ReplayWorkerOptions) {
    this.#options = options
    this.registry = new ReplayRegistry(options.store, options.clock)
  }

  async start(): Promise<void> {
    const { queue, concurrency = 1 } = this.#options
    await queue.work(concurrency, (name, signal) => this.#run(name, signal))
    this.#looking = this.#look()
  }

  /** Until `stop`. */
  async run(): Promise<void> {
    await this.#looking
  }

  /** Names of the parts that run here. */
  get running(): string[] {
    return [...this.#running]
  }

  /** Parts that run here are given back; another worker goes on from their checkpoints. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#options.queue.close()
    await this.#looking
  }

  /** Replays that are open in the store belong into the queue, also after that was lost. */
  async #look(): Promise<void> {
    const { clock, queue, lookMs = LOOK_MS } = this.#options
    const { signal } = this.#stopping
    while (!signal.aborted) {
      try {
        for (const replay of await this.registry.list()) {
          if (!this.#takes(replay)) continue
          await enqueue(replay, this.registry, queue)
          // All parts were done, and whoever did the last died before it could say so.
          await this.#settle(replay)
        }
      } catch (error) {
        this.#report(error)
      }
      this.#options.onProgress?.()
      await clock.sleep(lookMs, signal).catch(() => {})
    }
  }

  #takes(replay: Replay): boolean {
    return replay.state === 'open' && this.#options.takes(replay)
  }

  async #run(name: string, stop: AbortSignal): Promise<void> {
    const job = parseJobName(name)
    if (job === null) return
    const patience = { clock: this.#options.clock, onRetry: (error: unknown) => this.#report(error) }
    const replay = await patiently(patience, stop, () => this.registry.find(job.id))
    const part = replay?.parts.find((each) => each.part === job.part)
    if (replay === null || part === undefined || !this.#takes(replay) || replay.generation !== job.generation) return
    const cancel = new AbortController()
    const signal = AbortSignal.any([stop, cancel.signal])
    const watching = this.#watch(replay, cancel, signal)
    this.metrics.started += 1
    this.#running.add(name)
    this.metrics.running = this.#running.size
    try {
      if (replay.request.decoderVersion !== DECODER_VERSION) throw otherDecoder(replay)
      const pods = await patiently(patience, signal, async () => this.#options.pods?.(replay.request) ?? null)
      await PartReplay.run({ ...this.#partOptions(replay), ...patience, pods }, replay, part, signal)
      this.metrics.finished += 1
      await this.#settle(replay)
    } catch (error) {
      await this.#failed(replay, error, stop)
    } finally {
      this.#running.delete(name)
      this.metrics.running = this.#running.size
      cancel.abort()
      await watching
    }
  }

  #partOptions({ request }: Replay): Omit<PartReplayOptions, keyof Patience | 'pods'> {
    const { store, protocols, policy, log } = this.#options
    return {
      store,
      registry: this.registry,
      log: log(request),
      protocols,
      policy,
      namesWaitUs: this.#options.namesWaitUs ?? NAMES_WAIT_MS * 1000,
      metrics: this.metrics,
      checkpointUs: this.#options.checkpointUs ?? CHECKPOINT_US,
    }
  }

  /** Somebody else may cancel or remove it, or another part may fail: all parts stop. */
  async #watch(replay: Replay, cancel: AbortController, signal: AbortSignal): Promise<void> {
    const { clock, cancelMs = CANCEL_MS } = this.#options
    while (!signal.aborted) {
      await clock.sleep(cancelMs, signal).catch(() => {})
      if (signal.aborted) return
      try {
        if (!isOpen(await this.registry.find(replay.id), replay.generation)) cancel.abort()
      } catch {
        // The store is away: the part itself says so.
      }
    }
  }

  /** Done where all parts are. */
  async #settle(replay: Replay): Promise<void> {
    const rows = await this.registry.progress(replay)
    const done = rows.filter((row) => row.done === 1).length
    if (done < replay.parts.length) return
    if (isOpen(await this.registry.find(replay.id), replay.generation)) await this.registry.setState(replay, 'done')
  }

  async #failed(replay: Replay, error: unknown, stop: AbortSignal): Promise<void> {
    if ((error as { code?: string }).code === 'ABORTED') {
      // Stopped here, it goes on elsewhere; whoever cancelled it has said so in the store.
      if (stop.aborted) throw error
      return
    }
    this.metrics.failed += 1
    this.#report(error)
    // A straggler of a replay that is over fails since its tables are gone.
    if (isOpen(await this.registry.find(replay.id), replay.generation)) {
      await this.registry.setState(replay, 'failed', error instanceof KlartextError ? error.message : String(error))
    }
    if (!(error instanceof KlartextError)) throw error
  }

  #report(error: unknown): void {
    this.#options.onError?.(error)
  }
}

function isOpen(replay: Replay | null, generation: number): boolean {
  return replay !== null && replay.state === 'open' && replay.generation === generation
}

function otherDecoder({ id, request }: Replay): KlartextError {
  const versions = `${id} was submitted for decoder ${request.decoderVersion}, this worker has ${DECODER_VERSION}`
  return new KlartextError('OTHER_DECODER', `${versions}: submit it again with a klartext of this version`)
}
