/** A consumer group: who is in it, which generation, who reads what, how far each partition was committed. */
import { KlartextError } from '../../core/errors.js'
import type { CommittedOffset, TopicPartition } from '../../core/ports/bus.js'

/** Kafka's default for `offset.metadata.max.bytes`. */
export const METADATA_BYTES_MAX = 4096

export interface Member {
  readonly id: number
  readonly topics: Set<string>
  lastSeenMs: number
}

export class ConsumerGroup {
  readonly id: string
  readonly #sessionMs: number
  readonly #partitionsOf: (topic: string) => number
  readonly #members = new Map<number, Member>()
  readonly #committed = new Map<string, CommittedOffset>()
  /** Goes up with each change of members; what a member does under an older one is refused. */
  generation = 0

  constructor(id: string, sessionMs: number, partitionsOf: (topic: string) => number) {
    this.id = id
    this.#sessionMs = sessionMs
    this.#partitionsOf = partitionsOf
  }

  join(member: Member): void {
    this.#members.set(member.id, member)
    this.generation += 1
  }

  leave(member: Member): void {
    if (this.#members.delete(member.id)) this.generation += 1
  }

  /** A sign of life. Answers false where the member was put out meanwhile: it has to join again. */
  seen(member: Member, nowMs: number): boolean {
    for (const other of this.#members.values()) {
      if (other !== member && nowMs - other.lastSeenMs > this.#sessionMs) this.leave(other)
    }
    if (this.#members.get(member.id) !== member) return false
    member.lastSeenMs = nowMs
    return true
  }

  /** Partitions in turn over the members that want the topic, in the order in which they came. */
  assigned(member: Member, topic: string): number[] {
    const wanting = [...this.#members.values()].filter((each) => each.topics.has(topic))
    const at = wanting.indexOf(member)
    if (at < 0) return []
    const all = Array.from({ length: this.#partitionsOf(topic) }, (_, partition) => partition)
    return all.filter((partition) => partition % wanting.length === at)
  }

  committed({ topic, partition }: TopicPartition): CommittedOffset {
    return this.#committed.get(`${topic}/${partition}`) ?? { offset: -1n, metadata: '' }
  }

  commit({ topic, partition }: TopicPartition, offset: bigint, metadata: string): void {
    this.#committed.set(`${topic}/${partition}`, { offset, metadata })
  }

  reads(topic: string): boolean {
    if ([...this.#members.values()].some((member) => member.topics.has(topic))) return true
    return [...this.#committed.keys()].some((key) => key.startsWith(`${topic}/`))
  }
}

/** Throws KlartextError `METADATA_TOO_LARGE`. */
export function checkMetadata(metadata: string): void {
  const size = Buffer.byteLength(metadata)
  if (size > METADATA_BYTES_MAX) {
    throw new KlartextError(
      'METADATA_TOO_LARGE',
      `offset metadata has ${size} bytes, at most ${METADATA_BYTES_MAX} are kept`,
    )
  }
}

export function fenced(what: string): KlartextError {
  return new KlartextError('FENCED', what)
}
