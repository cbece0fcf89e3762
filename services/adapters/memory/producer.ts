import { KlartextError } from '../../core/errors.js'
import type { BusMessage, BusProducer, BusTransaction, TopicPartition } from '../../core/ports/bus.js'
import type { MemoryBus } from './bus.js'
import { checkMetadata, fenced } from './group.js'
import type { OpenTransaction, PartitionLog } from './log.js'

/** What the bus remembers of a transactional id. */
export class TransactionalId {
  readonly id: string
  /** Of the producer that holds the id; older ones are fenced. */
  epoch = 0
  open: MemoryTransaction | null = null

  constructor(id: string) {
    this.id = id
  }

  /** A new producer takes the id over: what the old one left open is undone. */
  take(): number {
    this.epoch += 1
    this.open?.undo()
    this.open = null
    return this.epoch
  }
}

export class MemoryProducer implements BusProducer {
  readonly #bus: MemoryBus
  readonly #id: TransactionalId | null
  readonly #epoch: number
  #closed = false

  constructor(bus: MemoryBus, id: TransactionalId | null) {
    this.#bus = bus
    this.#id = id
    this.#epoch = id?.take() ?? 0
  }

  async send(topic: string, partition: number, messages: readonly BusMessage[]): Promise<bigint> {
    this.#check()
    if (this.#id !== null) {
      throw new KlartextError('NOT_IN_TRANSACTION', 'a producer with a transactional id sends in transactions only')
    }
    const log = this.#bus.log(topic, partition)
    await this.#bus.room(log)
    this.#check()
    return this.#bus.append(log, messages, null)
  }

  async begin(): Promise<BusTransaction> {
    this.#check()
    const id = this.#id
    if (id === null)
      throw new KlartextError('NOT_TRANSACTIONAL', 'a transaction needs a producer with a transactional id')
    if (id.open !== null) throw new KlartextError('TRANSACTION_OPEN', `${id.id} has an open transaction already`)
    id.open = new MemoryTransaction(this.#bus, id, this.#epoch)
    return id.open
  }

  #check(): void {
    if (this.#closed) throw new KlartextError('CLOSED', 'the producer is closed')
    if (this.#id !== null && this.#id.epoch !== this.#epoch)
      throw fenced(`${this.#id.id} was taken over by another producer`)
  }

  /** An open transaction is undone. */
  async close(): Promise<void> {
    this.#closed = true
    if (this.#id !== null && this.#id.epoch === this.#epoch) {
      this.#id.open?.undo()
      this.#id.open = null
    }
  }
}

export class MemoryTransaction implements BusTransaction {
  readonly #bus: MemoryBus
  readonly #id: TransactionalId
  readonly #epoch: number
  readonly #state: OpenTransaction = { state: 'open' }
  readonly #logs = new Set<PartitionLog>()
  readonly #offsets: { groupId: string; input: TopicPartition; offset: bigint; metadata: string }[] = []
  readonly begunMs: number

  constructor(bus: MemoryBus, id: TransactionalId, epoch: number) {
    this.#bus = bus
    this.#id = id
    this.#epoch = epoch
    this.begunMs = bus.nowMs()
  }

  async send(topic: string, partition: number, messages: readonly BusMessage[]): Promise<void> {
    this.#check()
    const log = this.#bus.log(topic, partition)
    await this.#bus.room(log)
    this.#check()
    this.#logs.add(log)
    this.#bus.append(log, messages, this.#state)
  }

  async commitOffset(groupId: string, input: TopicPartition, offset: bigint, metadata: string): Promise<void> {
    this.#check()
    checkMetadata(metadata)
    this.#bus.log(input.topic, input.partition)
    this.#offsets.push({ groupId, input, offset, metadata })
  }

  /** Records and offsets appear together. */
  async commit(): Promise<void> {
    this.#check()
    this.#id.open = null
    this.#state.state = 'committed'
    for (const { groupId, input, offset, metadata } of this.#offsets)
      this.#bus.group(groupId).commit(input, offset, metadata)
    this.#end()
    for (const { input } of this.#offsets) this.#bus.committed(this.#bus.log(input.topic, input.partition))
  }

  async abort(): Promise<void> {
    this.#check()
    this.#id.open = null
    this.undo()
  }

  /** By the bus: fenced, timed out or closed. */
  undo(): void {
    if (this.#state.state !== 'open') return
    this.#state.state = 'aborted'
    this.#end()
  }

  #end(): void {
    for (const log of this.#logs) log.end(this.#state)
    this.#bus.changed()
  }

  #check(): void {
    this.#bus.expireTransactions()
    if (this.#id.epoch !== this.#epoch) throw fenced(`${this.#id.id} was taken over by another producer`)
    if (this.#state.state !== 'open')
      throw new KlartextError('TRANSACTION_OVER', `the transaction of ${this.#id.id} is over`)
  }
}
