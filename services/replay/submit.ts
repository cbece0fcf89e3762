/** Asking for a replay, stopping one, taking one away: what a person does. */
import { KlartextError } from '../core/errors.js'
import type { JobQueue } from '../core/ports/jobs.js'
import type { SegmentLog } from '../core/ports/segment_log.js'
import type { ReplayRequest } from '../core/replay.js'
import { jobName } from './job_name.js'
import type { Replay, ReplayRegistry } from './registry.js'
import { replayId } from './request.js'

export type Submitted = 'new' | 'again' | 'there'

/**
 * The same request is the same replay: one that waits, runs or is done is left alone; one that failed or was cancelled goes
 * on. Throws `NO_SEGMENTS` where the log holds nothing of the window. `queue` null: whoever works finds it in the store.
 */
export async function submitReplay(
  request: ReplayRequest,
  log: SegmentLog,
  registry: ReplayRegistry,
  queue: JobQueue | null,
): Promise<{ readonly replay: Replay; readonly submitted: Submitted }> {
  const id = replayId(request)
  const known = await registry.find(id)
  if (known !== null && known.state !== 'removed') {
    const isOver = known.state === 'failed' || known.state === 'cancelled'
    if (isOver) await registry.setState(known, 'open')
    const replay = isOver ? await registry.get(id) : known
    await enqueue(replay, registry, queue)
    return { replay, submitted: isOver ? 'again' : 'there' }
  }
  const parts = await log.parts(Math.max(0, request.fromUs - request.leadUs), later(request.toUs, request.trailUs))
  if (parts.length === 0) {
    const extent = await log.extent()
    throw new KlartextError('NO_SEGMENTS', `no segments of that window are kept: ${extent || 'there are none at all'}`)
  }
  const replay = await registry.create(id, (known?.generation ?? 0) + 1, request, parts)
  await enqueue(replay, registry, queue)
  return { replay, submitted: 'new' }
}

function later(us: number, byUs: number): number {
  return Math.min(Number.MAX_SAFE_INTEGER, us + byUs)
}

/** Parts that are not done; those that wait or run already are not doubled. */
export async function enqueue(replay: Replay, registry: ReplayRegistry, queue: JobQueue | null): Promise<void> {
  if (replay.state !== 'open' || queue === null) return
  const done = new Set((await registry.progress(replay)).filter((row) => row.done === 1).map(({ part }) => part))
  for (const { part } of replay.parts) if (!done.has(part)) await queue.add(jobName(replay, part))
}

/** Whoever runs it stops within seconds; what is stored stays, and the same request goes on from there. */
export async function cancelReplay(id: string, registry: ReplayRegistry, queue: JobQueue | null): Promise<Replay> {
  const replay = await registry.get(id)
  if (replay.state === 'open') await registry.setState(replay, 'cancelled')
  await dequeue(replay, queue)
  return registry.get(id)
}

/** Its tables are gone with it. */
export async function removeReplay(id: string, registry: ReplayRegistry, queue: JobQueue | null): Promise<void> {
  const replay = await registry.get(id)
  await registry.setState(replay, 'removed')
  await dequeue(replay, queue)
  await registry.dropTables(replay)
}

async function dequeue(replay: Replay, queue: JobQueue | null): Promise<void> {
  for (const { part } of replay.parts) await queue?.remove(jobName(replay, part))
}
