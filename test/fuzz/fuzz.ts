/** Seeded fuzzing of one protocol: run i of seed s is run 0 of seed s + i, so that a failure has one number. */
import type { Protocol } from '../../services/core/protocol.js'
import { Random } from '../../services/core/random.js'
import type { Segment } from '../../services/core/segment.js'
import { problem } from './check.js'
import { hostile } from './mutate.js'
import { type Source, sourcesOf } from './sources.js'

export interface Finding {
  readonly seed: number
  readonly problem: string
  /** As few segments as still show it. */
  readonly segments: readonly Segment[]
}

export interface Round {
  readonly runs: number
  readonly bytes: number
  readonly findings: readonly Finding[]
}

const SHRINK_TRIES = 400
const FINDINGS_MAX = 5

export async function fuzz(protocol: Protocol, seed: number, runs: number): Promise<Round> {
  const sources = await sourcesOf(protocol)
  const findings: Finding[] = []
  let bytes = 0
  let i = 0
  for (; i < runs && findings.length < FINDINGS_MAX; i++) {
    const segments = made(sources, seed + i)
    bytes += segments.reduce((sum, segment) => sum + segment.payload.length, 0)
    const found = problem(segments, new Random(seed + i))
    if (found === null) continue
    findings.push({ seed: seed + i, problem: found, segments: shrunk(segments, seed + i) })
  }
  return { runs: i, bytes, findings }
}

const made = (sources: readonly Source[], seed: number): Segment[] => hostile(sources, new Random(seed))

/** Leaves out halves, quarters ... single segments for as long as something does not hold. */
function shrunk(segments: readonly Segment[], seed: number): readonly Segment[] {
  let left = segments
  let tries = 0
  for (let size = left.length >> 1; size >= 1; size >>= 1) {
    for (let at = 0; at < left.length && tries < SHRINK_TRIES; ) {
      const fewer = [...left.slice(0, at), ...left.slice(at + size)]
      tries += 1
      if (fewer.length > 0 && problem(fewer, new Random(seed)) !== null) left = fewer
      else at += size
    }
  }
  return left
}

const SHOWN_SEGMENTS = 12
const SHOWN_BYTES = 300

/** For a person: how to see it again, and what was sent. */
export function findingText(protocol: string, { seed, problem: what, segments }: Finding): string {
  const lines = segments.slice(0, SHOWN_SEGMENTS).map(({ direction, position, length, payload, flags }) => {
    const shown = JSON.stringify(payload.subarray(0, SHOWN_BYTES).toString('latin1'))
    return `  ${direction === 0 ? '>' : '<'} at ${position}, ${payload.length} of ${length} bytes, flags ${flags}: ${shown}`
  })
  const more = segments.length > SHOWN_SEGMENTS ? [`  and ${segments.length - SHOWN_SEGMENTS} more`] : []
  return [
    `npm run test:fuzz -- ${protocol} --seed ${seed} --runs 1`,
    `  ${what.slice(0, 1500)}`,
    ...lines,
    ...more,
  ].join('\n')
}
