/**
 * Replays one part: reads its segments, decodes them as a decode worker does, and stores what is kept in blocks whose ends
 * and numbers follow from the input alone. Whoever takes it up after a kill goes on from its last checkpoint and inserts the
 * blocks behind it once more, under the same tokens: each row is stored once.
 */
import { setImmediate } from 'node:timers/promises'
import { KlartextError, NewerSchemaError } from '../core/errors.js'
import type { PodDirectory } from '../core/ports/pods.js'
import type { LogPiece, SegmentLog } from '../core/ports/segment_log.js'
import type { Store } from '../core/ports/store.js'
import type { Protocol } from '../core/protocol.js'
import type { ReplayPart, ReplayPartRow } from '../core/replay.js'
import { AvroInput } from '../core/wire/avro.js'
import { decodeSegmentBatch, readSegmentBatch } from '../core/wire/segment_batch.js'
import { knownUsOf } from '../decode/names.js'
import { DecodePipeline } from '../decode/pipeline.js'
import type { FlowPolicy } from '../decode/policy.js'
import { Block } from './block.js'
import { RowFilter } from './filter.js'
import type { ReplayMetrics } from './metrics.js'
import { aborted, isRetryable, type Patience, patiently, pause, RETRY_MS_MAX, RETRY_MS_MIN } from './patience.js'
import { PipelineState } from './pipeline_state.js'
import type { Replay, ReplayRegistry } from './registry.js'
import { replayTables } from './request.js'

export interface PartReplayOptions extends Patience {
  readonly store: Store
  readonly registry: ReplayRegistry
  readonly log: SegmentLog
  readonly protocols: readonly Protocol[]
  readonly policy: FlowPolicy
  readonly pods: PodDirectory | null
  /** Flows are named by what was known of pods so long after their capture, as live. */
  readonly namesWaitUs: number
  readonly metrics: ReplayMetrics
  /** Between two checkpoints; each holds all open connections. */
  readonly checkpointUs: number
}

export class PartReplay {
  readonly #options: PartReplayOptions
  readonly #replay: Replay
  readonly #filter: RowFilter
  readonly #signal: AbortSignal
  readonly #part: ReplayPart
  #row: ReplayPartRow
  #state = new PipelineState()
  readonly #pipeline: DecodePipeline
  #block: Block
  /** Of the blocks before: inserted one after the other. */
  #writing: Promise<void> = Promise.resolve()
  #savedUs: number
  #countedUs: number
  #joinedBefore: number

  private constructor(
    options: PartReplayOptions,
    replay: Replay,
    part: ReplayPart,
    row: ReplayPartRow,
    signal: AbortSignal,
  ) {
    this.#options = options
    this.#replay = replay
    this.#part = part
    this.#row = { ...row }
    this.#signal = signal
    this.#filter = new RowFilter(replay.request, options.pods)
    this.#block = new Block(row.blocks)
    this.#savedUs = options.clock.nowUs()
    this.#countedUs = this.#savedUs
    this.#joinedBefore = row.joined
    const { protocols, policy, pods } = options
    this.#pipeline = new DecodePipeline({
      protocols,
      policy,
      ...(pods === null ? {} : { pods }),
      joins: true,
      partition: part.part,
      onFlow: (flow) => {
        if (this.#filter.flow(flow)) this.#block.flows.push(flow)
      },
      onConnection: (connection) => {
        if (this.#filter.connection(connection)) this.#block.connections.push(connection)
      },
    })
    if (row.checkpoint === '') this.#pipeline.keepChanges()
    else this.#restore(row.checkpoint)
  }

  #restore(checkpoint: string): void {
    const found = PipelineState.read(checkpoint)
    if (found === null) {
      const what = `the checkpoint of part ${this.#part.part} of ${this.#replay.id} is of another version`
      throw new KlartextError('BAD_CHECKPOINT', `${what}: remove the replay and submit it again`)
    }
    this.#state = found.state
    this.#pipeline.restore(found.clock, found.entries)
  }

  /**
   * Until all of the part is stored. Throws `ABORTED` when the signal says so, NewerSchemaError where a newer capturer has
   * written segments, and what the store or log refuses for good.
   */
  static async run(options: PartReplayOptions, replay: Replay, part: ReplayPart, signal: AbortSignal): Promise<void> {
    const { registry, log } = options
    const { id, generation } = replay
    const wait = <T>(call: () => Promise<T>) => patiently(options, signal, call)
    let row = await wait(() => registry.part(id, generation, part.part))
    if (row === null) {
      const kept = await wait(() => log.kept(part))
      row = await wait(() => registry.beginPart(firstRow(replay, kept, options.clock.nowUs())))
    }
    if (row.done === 1) return
    await new PartReplay(options, replay, part, row, signal).#run()
  }

  async #run(): Promise<void> {
    try {
      await this.#read()
      this.#end()
      await this.#writing
      await this.#write(this.#block, { ...this.#row, done: 1, checkpoint: '' })
    } finally {
      // A block on its way is safe to arrive: its token is known by then.
      await this.#writing.catch(() => {})
    }
  }

  async #read(): Promise<void> {
    const { log } = this.#options
    for (let pauseMs = RETRY_MS_MIN; this.#row.next < this.#row.stop; ) {
      const before = this.#row.next
      try {
        for await (const pieces of log.read(this.#part, this.#row.next)) {
          for (const piece of pieces) {
            this.#take(piece)
            this.#row.next = piece.next
            if (this.#block.isFull(this.#replay.request.blocks)) await this.#cut()
          }
          // Where the log is in memory or in the page cache nothing else would ever get a turn.
          await setImmediate()
          this.#check()
        }
        // Nothing is left: behind the last piece may lie what is never read.
        this.#row.next = this.#row.stop
      } catch (error) {
        // Those of the store were waited out where they may be.
        if (!isRetryable(error)) throw expired(error, this.#replay)
        this.#options.onRetry?.(error)
        if (this.#row.next > before) pauseMs = RETRY_MS_MIN
        await pause(this.#options.clock, pauseMs, this.#signal)
        pauseMs = Math.min(RETRY_MS_MAX, pauseMs * 2)
      }
    }
  }

  #take({ position, batches, bytes }: LogPiece): void {
    const row = this.#row
    const { metrics, log, namesWaitUs } = this.#options
    row.messages += 1
    row.bytes += bytes.length
    metrics.messages += 1
    metrics.messageBytes += bytes.length
    this.#block.inputBytes += bytes.length
    const input = new AvroInput(bytes, 'segment batch', 'BAD_SEGMENT_BATCH')
    try {
      for (let i = 0; i < batches; i++) {
        const { segments } = batches === 1 ? decodeSegmentBatch(bytes) : readSegmentBatch(input)
        this.#filter.knownUs = knownUsOf(segments, namesWaitUs)
        row.segments += segments.length
        metrics.segments += segments.length
        this.#pipeline.push(this.#filter.segments(segments), log.isBus ? position : -1, this.#filter.knownUs)
      }
    } catch (error) {
      if (!(error instanceof KlartextError) || error instanceof NewerSchemaError) throw error
      row.unreadable += 1
      metrics.unreadable += 1
    }
  }

  /** What is open where the input ends for good is handed over; where more follows it stays open, as it is for the live ones. */
  #end(): void {
    if (this.#part.endsForGood) this.#pipeline.finish()
    for (const row of this.#pipeline.openRows()) {
      if (!this.#filter.connection(row)) continue
      this.#block.connections.push(row)
      this.#row.open += 1
    }
    this.#count(this.#block)
  }

  #count({ flows, connections, number }: Block): void {
    const row = this.#row
    row.flows += flows.length
    row.connections += connections.length
    row.blocks = number + 1
    row.joined = this.#joinedBefore + this.#pipeline.accounting.joined
    const now = this.#options.clock.nowUs()
    row.busy_us += now - this.#countedUs
    row.updated = now
    this.#countedUs = now
  }

  /** Ends the block; it is written while the next one is being made. */
  async #cut(): Promise<void> {
    // First, since it may hand over what belongs to this block.
    this.#state.take(this.#pipeline.takeCheckpoint())
    const block = this.#block
    this.#count(block)
    this.#block = new Block(block.number + 1)
    const now = this.#options.clock.nowUs()
    const checkpoint =
      now - this.#savedUs < this.#options.checkpointUs ? null : this.#state.blob(this.#pipeline.saveClock())
    if (checkpoint !== null) this.#savedUs = now
    const row = checkpoint === null ? null : { ...this.#row, checkpoint }
    await this.#writing
    this.#writing = this.#write(block, row)
    // Thrown where it is waited for.
    this.#writing.catch(() => {})
  }

  async #write(block: Block, row: ReplayPartRow | null): Promise<void> {
    const { store, registry, metrics } = this.#options
    const { id, generation } = this.#replay
    const names = replayTables(id, generation)
    const token = `${id}/${generation}/${this.#part.part}/${block.number}`
    const { flows, connections } = block
    for (const flow of flows) {
      flow.in_partition = this.#part.part
      flow.batch_first = block.number
    }
    await this.#patiently(() => store.insert('flows', flows, `${token}/flows`, names.flows))
    await this.#patiently(() => store.insert('connections', connections, `${token}/connections`, names.connections))
    metrics.flows += flows.length
    metrics.connections += connections.length
    metrics.blocks += 1
    if (row !== null) await this.#patiently(() => registry.savePart(row))
  }

  #patiently<T>(call: () => Promise<T>): Promise<T> {
    return patiently(this.#options, this.#signal, call)
  }

  #check(): void {
    if (this.#signal.aborted) throw aborted()
  }
}

function firstRow({ id, generation }: Replay, part: ReplayPart, nowUs: number): ReplayPartRow {
  return {
    id,
    generation,
    part: part.part,
    version: 1,
    updated: nowUs,
    start: part.start,
    next: part.start,
    stop: part.stop,
    done: 0,
    blocks: 0,
    messages: 0,
    bytes: 0,
    segments: 0,
    flows: 0,
    connections: 0,
    unreadable: 0,
    joined: 0,
    open: 0,
    lost_before: part.lostBeforeUs,
    busy_us: 0,
    checkpoint: '',
  }
}

/** The beginning was frozen with the rest: what has gone since then would make other blocks of the same numbers. */
function expired(error: unknown, { id }: Replay): unknown {
  if ((error as { code?: string }).code !== 'EXPIRED') return error
  const text = `${(error as Error).message}: retention has removed segments while ${id} was on its way; remove it and submit a later window`
  return new KlartextError('SEGMENTS_EXPIRED', text, { cause: error })
}
