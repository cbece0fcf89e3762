/**
 * Who reads what: as equal as can be, and what a member had it keeps, so that state moves as little as possible. The
 * group's leader computes it; what each had travels in the members' own data.
 */
import { createRequire } from 'node:module'

export const ASSIGNER = 'klartext-sticky'

export type Partitions = Readonly<Record<string, readonly number[]>>

export interface Subscriber {
  readonly memberId: string
  readonly topics: readonly string[]
  readonly had: Partitions
  /** In which `had` was true: where two claim a partition, the later is right. */
  readonly generation: number
}

export function assign(
  subscribers: readonly Subscriber[],
  countOf: (topic: string) => number,
): Map<string, Record<string, number[]>> {
  const assigned = new Map<string, Record<string, number[]>>(subscribers.map(({ memberId }) => [memberId, {}]))
  for (const topic of new Set(subscribers.flatMap(({ topics }) => topics))) {
    const wanting = subscribers
      .filter(({ topics }) => topics.includes(topic))
      .sort((a, b) => b.generation - a.generation || (a.memberId < b.memberId ? -1 : 1))
    const shares = new Map(wanting.map(({ memberId }) => [memberId, [] as number[]]))
    const count = countOf(topic)
    const free = keep(topic, count, wanting, shares)
    for (const partition of free) {
      let least = shares.get(wanting[0].memberId)!
      for (const share of shares.values()) if (share.length < least.length) least = share
      least.push(partition)
    }
    for (const [memberId, share] of shares) assigned.get(memberId)![topic] = share.sort((a, b) => a - b)
  }
  return assigned
}

/** Lets each keep what it had up to its equal share; answers what is left. */
function keep(
  topic: string,
  count: number,
  wanting: readonly Subscriber[],
  shares: ReadonlyMap<string, number[]>,
): Set<number> {
  const free = new Set(Array.from({ length: count }, (_, partition) => partition))
  const low = Math.floor(count / wanting.length)
  let larger = count % wanting.length
  for (const { memberId, had } of wanting) {
    const share = shares.get(memberId)!
    for (const partition of had[topic] ?? []) {
      const mayTake = share.length < low || (share.length === low && larger > 0)
      if (!mayTake || !free.delete(partition)) continue
      if (share.length === low) larger -= 1
      share.push(partition)
    }
  }
  return free
}

const { MemberMetadata, MemberAssignment } = createRequire(import.meta.url)(
  'kafkajs/src/consumer/assignerProtocol',
) as {
  MemberMetadata: {
    encode(of: { version: number; topics: readonly string[]; userData: Buffer }): Buffer
    decode(bytes: Buffer): { topics: string[]; userData: Buffer } | null
  }
  MemberAssignment: {
    encode(of: { version: number; assignment: Partitions; userData: Buffer }): Buffer
    decode(bytes: Buffer): { assignment: Record<string, number[]> } | null
  }
}

export function encodeSubscriber({ topics, had, generation }: Omit<Subscriber, 'memberId'>): Buffer {
  return MemberMetadata.encode({ version: 1, topics, userData: Buffer.from(JSON.stringify({ had, generation })) })
}

/** What cannot be read of another member's own data counts as nothing had. */
export function decodeSubscriber(memberId: string, bytes: Buffer): Subscriber {
  const metadata = MemberMetadata.decode(bytes)
  let own: { had?: Partitions; generation?: number } = {}
  try {
    own = JSON.parse(String(metadata?.userData)) as typeof own
  } catch {
    own = {}
  }
  return { memberId, topics: metadata?.topics ?? [], had: own?.had ?? {}, generation: own?.generation ?? -1 }
}

export function encodeAssignment(assignment: Partitions): Buffer {
  return MemberAssignment.encode({ version: 1, assignment, userData: Buffer.alloc(0) })
}

export function decodeAssignment(bytes: Buffer): Record<string, number[]> {
  return bytes.length === 0 ? {} : (MemberAssignment.decode(bytes)?.assignment ?? {})
}
