/**
 * A member of a consumer group (classic protocol). It joins when it is told to, never by itself: partitions are not taken
 * away while records of them are being worked on. Between, it only says that it lives.
 */
import { KlartextError } from '../../core/errors.js'
import {
  ASSIGNER,
  assign,
  decodeAssignment,
  decodeSubscriber,
  encodeAssignment,
  encodeSubscriber,
  type Partitions,
} from './assignment.js'
import type { JoinedGroup } from './broker.js'
import type { KafkaClient } from './client.js'
import { errorType } from './errors.js'

const SESSION_MS = 3_500
/** What brokers allow by default at least. */
const SESSION_MS_OF_BROKERS = 6_000
/** How long the others wait for a member that is busy. */
const REBALANCE_MS = 30_000
/** Without a poll for so long the member stops to say that it lives: it hangs, and others do its work. */
const POLL_MS_MAX = 300_000
const HEARTBEATS_PER_SESSION = 7
/** Topics may be given more partitions, which nobody reads until the group is divided anew: its leader looks so often. */
const COUNTS_MS = 5_000

export class GroupMember {
  readonly #client: KafkaClient
  readonly #groupId: string
  readonly #changed: () => void
  readonly topics = new Set<string>()
  #sessionMs: number
  #memberId = ''
  #generation = -1
  #assigned: Partitions = {}
  #mustJoin = true
  /** The coordinator no longer knows this member or generation: nothing it does counts. */
  #isOut = true
  #heartbeat: NodeJS.Timeout | null = null
  #lastPollMs = performance.now()
  /** Of the leader: partitions of each topic as the group was divided; of others nothing. */
  #counts: ReadonlyMap<string, number> = new Map()
  #countedMs = 0
  #closed = false

  constructor(client: KafkaClient, groupId: string, changed: () => void) {
    this.#client = client
    this.#groupId = groupId
    this.#changed = changed
    this.#sessionMs = client.options.sessionMs ?? SESSION_MS
  }

  get mustJoin(): boolean {
    return this.#mustJoin
  }

  get isIn(): boolean {
    return !this.#isOut
  }

  get generation(): number {
    return this.#generation
  }

  polled(): void {
    this.#lastPollMs = performance.now()
  }

  /** The group is to be divided anew. */
  rejoin(): void {
    this.#mustJoin = true
  }

  /** Joins, waits until the group is complete, answers what this member reads. */
  async join(): Promise<Partitions> {
    const assigned = await this.#client.retry(`joining group ${this.#groupId}`, async () => {
      for (;;) {
        try {
          return await this.#joinOnce()
        } catch (error) {
          const type = errorType(error)
          if (type === 'UNKNOWN_MEMBER_ID') this.#memberId = ''
          else if (type === 'INVALID_SESSION_TIMEOUT' && this.#sessionMs < SESSION_MS_OF_BROKERS) {
            this.#sessionMs = SESSION_MS_OF_BROKERS
          } else if (type !== 'REBALANCE_IN_PROGRESS' && type !== 'ILLEGAL_GENERATION') throw error
        }
      }
    })
    if (this.#closed) throw new KlartextError('CLOSED', 'the consumer is closed')
    this.#mustJoin = false
    this.#isOut = false
    this.#assigned = assigned
    this.#startHeartbeat()
    return assigned
  }

  async #joinOnce(): Promise<Partitions> {
    const groupId = this.#groupId
    const coordinator = await this.#client.groupCoordinator(groupId)
    const had = this.#isOut ? {} : this.#assigned
    const metadata = encodeSubscriber({ topics: [...this.topics], had, generation: this.#generation })
    const joined = await coordinator.joinGroup({
      groupId,
      sessionTimeout: this.#sessionMs,
      rebalanceTimeout: REBALANCE_MS,
      memberId: this.#memberId,
      groupProtocols: [{ name: ASSIGNER, metadata }],
    })
    this.#memberId = joined.memberId
    this.#generation = joined.generationId
    this.#counts = new Map()
    const { memberAssignment } = await coordinator.syncGroup({
      groupId,
      generationId: joined.generationId,
      memberId: joined.memberId,
      groupAssignment: joined.leaderId === joined.memberId ? await this.#divide(joined) : [],
    })
    return decodeAssignment(memberAssignment)
  }

  async #divide(joined: JoinedGroup): Promise<{ memberId: string; memberAssignment: Buffer }[]> {
    const subscribers = joined.members.map(({ memberId, memberMetadata }) => decodeSubscriber(memberId, memberMetadata))
    const counts = new Map<string, number>()
    for (const topic of new Set(subscribers.flatMap(({ topics }) => topics))) {
      counts.set(topic, await this.#client.partitions(topic))
    }
    this.#counts = counts
    this.#countedMs = performance.now()
    const assigned = assign(subscribers, (topic) => counts.get(topic) ?? 0)
    return [...assigned].map(([memberId, each]) => ({ memberId, memberAssignment: encodeAssignment(each) }))
  }

  #startHeartbeat(): void {
    if (this.#heartbeat !== null) return
    let isWaiting = false
    this.#heartbeat = setInterval(() => {
      if (isWaiting || this.#mustJoin || performance.now() - this.#lastPollMs > POLL_MS_MAX) {
        // While it joins, the join itself is the sign of life; before that, staying silent would end the session.
        if (isWaiting || !this.#mustJoin || this.#isOut) return
      }
      isWaiting = true
      void this.#beat().finally(() => (isWaiting = false))
    }, this.#sessionMs / HEARTBEATS_PER_SESSION)
  }

  async #beat(): Promise<void> {
    try {
      const coordinator = await this.#client.groupCoordinator(this.#groupId)
      await coordinator.heartbeat({
        groupId: this.#groupId,
        groupGenerationId: this.#generation,
        memberId: this.#memberId,
      })
      if (await this.#countsChanged()) this.#joinAnew()
    } catch (error) {
      const type = errorType(error)
      if (['UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION', 'FENCED_INSTANCE_ID'].includes(type)) {
        this.#isOut = true
        if (type === 'UNKNOWN_MEMBER_ID') this.#memberId = ''
      } else if (type !== 'REBALANCE_IN_PROGRESS') {
        // The coordinator is away or is another one now: look again, and beat again.
        this.#client.failing(error, `heartbeat of group ${this.#groupId}`)
        this.#client.forgetCoordinators()
        await this.#client.refresh()
        return
      }
      this.#joinAnew()
    }
  }

  #joinAnew(): void {
    if (this.#mustJoin) return
    this.#mustJoin = true
    this.#changed()
  }

  async #countsChanged(): Promise<boolean> {
    if (this.#counts.size === 0 || performance.now() - this.#countedMs < COUNTS_MS) return false
    const counts = this.#counts
    this.#countedMs = performance.now()
    await this.#client.refresh()
    for (const [topic, count] of counts) {
      const now = await this.#client.partitions(topic).catch(() => count)
      if (now !== count) return true
    }
    return false
  }

  /**
   * Throws `FENCED` where the partition is no longer this member's. The commit is of the generation of this moment, however
   * often it has to be sent. One that was not answered may still arrive, later than those behind it: only another generation
   * shuts the door, so this member joins anew.
   */
  async commit(topic: string, partition: number, offset: bigint, metadata: string): Promise<void> {
    const groupId = this.#groupId
    const [groupGenerationId, memberId] = [this.#generation, this.#memberId]
    const doing = `commit of ${topic}/${partition} by ${groupId}`
    let isInDoubt = false
    const onDoubt = () => {
      isInDoubt = true
      this.rejoin()
      this.#changed()
    }
    const call = async () => {
      if (isInDoubt) throw new KlartextError('FENCED', `${doing} was not answered: poll again`)
      const coordinator = await this.#client.groupCoordinator(groupId)
      const topics = [{ topic, partitions: [{ partition, offset: String(offset), metadata }] }]
      await coordinator.offsetCommit({ groupId, groupGenerationId, memberId, topics })
    }
    await this.#client.retry(doing, call, { onDoubt })
  }

  /** Leaves at once, so that others need not wait for the session to end. */
  async close(): Promise<void> {
    this.#closed = true
    if (this.#heartbeat !== null) clearInterval(this.#heartbeat)
    if (this.#memberId === '') return
    try {
      const coordinator = await this.#client.groupCoordinator(this.#groupId)
      await coordinator.leaveGroup({ groupId: this.#groupId, memberId: this.#memberId })
    } catch {
      // It ends by its silence then.
    }
  }
}
