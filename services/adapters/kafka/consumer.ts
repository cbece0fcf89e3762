import { KlartextError } from '../../core/errors.js'
import type { BusConsumer, BusRecord, CommittedOffset, TopicPartition } from '../../core/ports/bus.js'
import type { Partitions } from './assignment.js'
import type { KafkaClient } from './client.js'
import { errorType } from './errors.js'
import { Fetcher } from './fetcher.js'
import { GroupMember } from './member.js'
import { checkMetadata } from './metadata.js'
import { startOffset } from './partition_reader.js'
import { offsetFetchRequest } from './requests.js'
import { Signal } from './signal.js'

/** Ending a transaction takes milliseconds after it was committed. */
const STABLE_MS_MAX = 1_000
const STABLE_CHECK_MS = 10

type OnAssigned = (partitions: readonly number[]) => Promise<void>

export class KafkaConsumer implements BusConsumer {
  readonly #client: KafkaClient
  readonly #groupId: string
  readonly #changed = new Signal()
  readonly #fetcher: Fetcher
  readonly #member: GroupMember
  readonly #subscriptions = new Map<string, OnAssigned>()
  #joining: Promise<void> | null = null
  #joinFailure: unknown = null
  /** Joined, and not yet handed to those who subscribed. */
  #assigned: Partitions | null = null
  /** Of what was handed to them; -1: nothing, as while the group is being divided. */
  #generation = -1
  /** Topics whose subscriber knows the newest assignment: what is in hand of the others belongs to an earlier one. */
  readonly #told = new Set<string>()
  #closed = false

  constructor(client: KafkaClient, groupId: string) {
    this.#client = client
    this.#groupId = groupId
    this.#fetcher = new Fetcher(client, () => this.#changed.notify())
    this.#member = new GroupMember(client, groupId, () => this.#changed.notify())
  }

  async subscribe(topic: string, onAssigned: OnAssigned): Promise<void> {
    this.#check()
    await this.#client.partitions(topic)
    this.#subscriptions.set(topic, onAssigned)
    this.#member.topics.add(topic)
    this.#member.rejoin()
  }

  async poll(maxBytes: number, waitMs: number): Promise<BusRecord[]> {
    this.#check()
    const until = performance.now() + waitMs
    for (;;) {
      this.#member.polled()
      const isAssigned = await this.#ensureAssigned()
      const records = isAssigned ? this.#fetcher.read(maxBytes) : []
      const left = until - performance.now()
      if (records.length > 0 || left <= 0) return records
      await this.#changed.wait(left)
      this.#check()
    }
  }

  /** Goes on with joining where that is due, in the background; true when records of this generation may be delivered. */
  async #ensureAssigned(): Promise<boolean> {
    if (this.#subscriptions.size === 0) return false
    if (this.#joinFailure !== null) {
      const failure = this.#joinFailure
      this.#joinFailure = null
      throw failure
    }
    if (this.#joining === null && this.#member.mustJoin) this.#startJoin()
    if (this.#joining !== null) return false
    if (this.#assigned !== null) await this.#handOver(this.#assigned)
    return this.#generation >= 0
  }

  #startJoin(): void {
    // What was assigned stays known (it may be paused and sought), but nothing of it is delivered or committed any more.
    this.#generation = -1
    this.#assigned = null
    this.#told.clear()
    this.#joining = this.#member
      .join()
      .then(
        (assigned) => {
          this.#assigned = assigned
        },
        (error) => {
          if (!this.#closed) this.#joinFailure = error
        },
      )
      .finally(() => {
        this.#joining = null
        this.#changed.notify()
      })
  }

  async #handOver(assigned: Partitions): Promise<void> {
    const generation = this.#member.generation
    const offsets: (TopicPartition & { offset: bigint })[] = []
    for (const topic of this.#subscriptions.keys()) {
      const partitions = assigned[topic] ?? []
      // Not waiting for a transaction that whoever had the partition left open: it is ended by who fences it, in onAssigned.
      const committed = await this.#committed(topic, partitions, false)
      for (const [i, partition] of partitions.entries()) {
        const { offset } = committed[i]
        offsets.push({
          topic,
          partition,
          offset: offset < 0n ? await startOffset(this.#client, topic, partition) : offset,
        })
      }
    }
    this.#fetcher.assign(offsets)
    for (const [topic, onAssigned] of this.#subscriptions) {
      this.#told.add(topic)
      await onAssigned(assigned[topic] ?? [])
    }
    this.#assigned = null
    this.#generation = generation
  }

  seek(input: TopicPartition, offset: bigint): void {
    this.#fetcher.seek(input, offset)
  }

  pause(input: TopicPartition): void {
    this.#fetcher.pause(input)
  }

  resume(input: TopicPartition): void {
    this.#fetcher.resume(input)
  }

  /**
   * A commit that a transaction is just making is waited for, but not one of a transaction that stays open: after fencing
   * there is none.
   */
  async committed(input: TopicPartition): Promise<CommittedOffset> {
    this.#check()
    const { topic, partition } = input
    for (const until = performance.now() + STABLE_MS_MAX; ; ) {
      try {
        return (await this.#committed(topic, [partition], performance.now() < until))[0]
      } catch (error) {
        if (errorType((error as KlartextError).cause) !== 'UNSTABLE_OFFSET_COMMIT') throw error
        await new Promise((resolve) => setTimeout(resolve, STABLE_CHECK_MS))
      }
    }
  }

  async #committed(topic: string, partitions: readonly number[], isStable: boolean): Promise<CommittedOffset[]> {
    if (partitions.length === 0) return []
    return this.#client.retry(`offsets of group ${this.#groupId}`, async () => {
      const coordinator = await this.#client.groupCoordinator(this.#groupId)
      return coordinator.connectionPool.send(offsetFetchRequest(this.#groupId, topic, partitions, isStable))
    })
  }

  async commit(input: TopicPartition, offset: bigint, metadata: string): Promise<void> {
    this.#check()
    checkMetadata(metadata)
    const { topic, partition } = input
    const isDivided = this.#member.isIn && this.#generation === this.#member.generation
    // Within onAssigned the new generation counts already.
    const isBeingTold = this.#assigned !== null && this.#told.has(topic)
    if (this.#joining !== null || !(isDivided || isBeingTold)) {
      throw new KlartextError('FENCED', `the group ${this.#groupId} is being divided anew: poll again`)
    }
    if (!this.#fetcher.has(input)) {
      throw new KlartextError('FENCED', `${topic}/${partition} belongs to another consumer of ${this.#groupId}`)
    }
    await this.#member.commit(topic, partition, offset, metadata)
  }

  get closed(): boolean {
    return this.#closed
  }

  #check(): void {
    if (this.#closed) throw new KlartextError('CLOSED', 'the consumer is closed')
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#fetcher.close()
    this.#changed.notify()
    await this.#member.close()
    await this.#client.close()
  }
}
