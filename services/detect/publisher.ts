/**
 * Findings to klartext.findings.ocsf, each once: the messages of a slot and the note that it was told are one transaction.
 * The note is the metadata of an offset that a group of the rule's own commits; whoever runs the rule next reads it.
 */
import type { Finding } from '../core/finding.js'
import type { Bus, BusConsumer, BusProducer } from '../core/ports/bus.js'
import { TOPICS } from '../core/topics.js'
import { toOcsf } from './ocsf.js'

const OUTPUT = { topic: TOPICS.findings, partition: 0 } as const

/** Two that fence each other are through after one or two. */
const FENCED_TRIES = 5

interface Teller {
  readonly producer: BusProducer
  /** End of the last slot that was told, µs since 1970. */
  toldUs: number
}

export class FindingPublisher {
  readonly #bus: Bus
  readonly #group: string
  readonly #tellers = new Map<string, Teller>()
  told = 0

  constructor(bus: Bus, group: string) {
    this.#bus = bus
    this.#group = group
  }

  /** Does nothing where this slot of the rule, or a later one, was told already. */
  async publish(rule: string, untilUs: number, findings: readonly Finding[]): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#publish(rule, untilUs, findings)
      } catch (error) {
        // Another process runs the rule too, or a transaction has failed: what it came to is read anew.
        await this.#forget(rule)
        if ((error as { code?: string }).code !== 'FENCED' || tries === FENCED_TRIES) throw error
      }
    }
  }

  async #publish(rule: string, untilUs: number, findings: readonly Finding[]): Promise<void> {
    const teller = this.#tellers.get(rule) ?? (await this.#take(rule))
    if (untilUs <= teller.toldUs) return
    const transaction = await teller.producer.begin()
    try {
      const messages = findings.map((finding) => ({
        key: Buffer.from(finding.uid),
        value: Buffer.from(JSON.stringify(toOcsf(finding))),
      }))
      await transaction.send(OUTPUT.topic, OUTPUT.partition, messages)
      await transaction.commitOffset(this.#groupOf(rule), OUTPUT, 0n, String(untilUs))
      await transaction.commit()
    } catch (error) {
      await transaction.abort().catch(() => {})
      throw error
    }
    teller.toldUs = untilUs
    this.told += findings.length
  }

  /** Fences whoever told before, and only then reads how far that one came. */
  async #take(rule: string): Promise<Teller> {
    const producer = await this.#bus.producer({ transactionalId: this.#groupOf(rule) })
    let consumer: BusConsumer | null = null
    try {
      consumer = await this.#bus.consumer(this.#groupOf(rule))
      const { metadata } = await consumer.committed(OUTPUT)
      const teller = { producer, toldUs: metadata === '' ? 0 : Number(metadata) }
      this.#tellers.set(rule, teller)
      return teller
    } catch (error) {
      await producer.close().catch(() => {})
      throw error
    } finally {
      await consumer?.close()
    }
  }

  #groupOf(rule: string): string {
    return `${this.#group}-${rule}`
  }

  async #forget(rule: string): Promise<void> {
    const teller = this.#tellers.get(rule)
    this.#tellers.delete(rule)
    await teller?.producer.close().catch(() => {})
  }

  async close(): Promise<void> {
    for (const rule of [...this.#tellers.keys()]) await this.#forget(rule)
  }
}
