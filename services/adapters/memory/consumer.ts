import { KlartextError } from '../../core/errors.js'
import type { BusConsumer, BusRecord, CommittedOffset, TopicPartition } from '../../core/ports/bus.js'
import type { MemoryBus } from './bus.js'
import { type ConsumerGroup, checkMetadata, fenced, type Member } from './group.js'

interface Subscription {
  readonly onAssigned: (partitions: readonly number[]) => Promise<void>
}

interface Position {
  readonly input: TopicPartition
  next: bigint
  paused: boolean
}

let members = 0

export class MemoryConsumer implements BusConsumer {
  readonly #bus: MemoryBus
  readonly #group: ConsumerGroup
  readonly #subscriptions = new Map<string, Subscription>()
  #member: Member
  /** Of the assignment this member knows; -1: none yet. */
  #generation = -1
  #positions: Position[] = []
  /** Topics whose subscriber knows that assignment: what is in hand of the others belongs to an earlier one. */
  readonly #told = new Set<string>()
  /** Where the next poll starts, so that a busy partition does not starve the others. */
  #turn = 0
  #closed = false

  constructor(bus: MemoryBus, group: ConsumerGroup) {
    this.#bus = bus
    this.#group = group
    this.#member = this.#newMember()
  }

  #newMember(): Member {
    return { id: members++, topics: new Set(), lastSeenMs: this.#bus.nowMs() }
  }

  async subscribe(topic: string, onAssigned: (partitions: readonly number[]) => Promise<void>): Promise<void> {
    this.#check()
    this.#bus.log(topic, 0)
    this.#subscriptions.set(topic, { onAssigned })
    this.#member.topics.add(topic)
    this.#group.join(this.#member)
    this.#bus.changed()
  }

  async poll(maxBytes: number, waitMs: number): Promise<BusRecord[]> {
    this.#check()
    const until = this.#bus.nowMs() + waitMs
    for (;;) {
      this.#bus.expireTransactions()
      await this.#rejoin()
      const records = this.#read(maxBytes)
      const left = until - this.#bus.nowMs()
      if (records.length > 0 || left <= 0) return records
      await this.#bus.waitForChange(left)
      this.#check()
    }
  }

  /** Learns the assignment of the newest generation, joining again first where it was put out for being silent. */
  async #rejoin(): Promise<void> {
    while (!this.#group.seen(this.#member, this.#bus.nowMs())) {
      const { topics } = this.#member
      this.#member = this.#newMember()
      for (const topic of topics) this.#member.topics.add(topic)
      this.#group.join(this.#member)
      this.#bus.changed()
    }
    while (this.#generation !== this.#group.generation) {
      const generation = this.#group.generation
      this.#positions = []
      for (const topic of this.#subscriptions.keys()) {
        for (const partition of this.#group.assigned(this.#member, topic)) {
          const input = { topic, partition }
          const { offset } = this.#group.committed(input)
          this.#positions.push({ input, next: offset < 0n ? 0n : offset, paused: false })
        }
      }
      this.#generation = generation
      this.#told.clear()
      for (const [topic, { onAssigned }] of this.#subscriptions) {
        this.#told.add(topic)
        const partitions = this.#positions.filter(({ input }) => input.topic === topic)
        await onAssigned(partitions.map(({ input }) => input.partition))
      }
    }
  }

  #read(maxBytes: number): BusRecord[] {
    const records: BusRecord[] = []
    let left = maxBytes
    const count = this.#positions.length
    for (let i = 0; i < count && left > 0; i++) {
      const position = this.#positions[(this.#turn + i) % count]
      if (position.paused) continue
      const log = this.#bus.log(position.input.topic, position.input.partition)
      const { next, bytes } = log.read(position.next, left, records)
      position.next = next
      left -= bytes
    }
    this.#turn += 1
    return records
  }

  seek(input: TopicPartition, offset: bigint): void {
    this.#position(input).next = offset
  }

  pause(input: TopicPartition): void {
    this.#position(input).paused = true
  }

  resume(input: TopicPartition): void {
    this.#position(input).paused = false
    this.#bus.changed()
  }

  #position({ topic, partition }: TopicPartition): Position {
    const found = this.#positions.find(({ input }) => input.topic === topic && input.partition === partition)
    if (found === undefined)
      throw new KlartextError('NOT_ASSIGNED', `${topic}/${partition} is not assigned to this consumer`)
    return found
  }

  async committed(input: TopicPartition): Promise<CommittedOffset> {
    this.#check()
    this.#bus.log(input.topic, input.partition)
    return this.#group.committed(input)
  }

  async commit(input: TopicPartition, offset: bigint, metadata: string): Promise<void> {
    this.#check()
    checkMetadata(metadata)
    this.#bus.log(input.topic, input.partition)
    const isIn = this.#group.seen(this.#member, this.#bus.nowMs()) && this.#generation === this.#group.generation
    if (!isIn || !this.#told.has(input.topic)) {
      throw fenced(`the group ${this.#group.id} has moved on to another generation: poll again`)
    }
    if (!this.#group.assigned(this.#member, input.topic).includes(input.partition)) {
      throw fenced(`${input.topic}/${input.partition} belongs to another consumer of ${this.#group.id}`)
    }
    this.#group.commit(input, offset, metadata)
    this.#bus.committed(this.#bus.log(input.topic, input.partition))
  }

  #check(): void {
    if (this.#closed) throw new KlartextError('CLOSED', 'the consumer is closed')
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#group.leave(this.#member)
    this.#bus.changed()
  }
}
