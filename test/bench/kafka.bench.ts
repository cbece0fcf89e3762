/** klartext's Kafka client against a real broker on this machine: flows sent in transactions and read, segments there and back. */
import { KafkaBus } from '../../services/adapters/kafka/bus.js'
import type { Bus } from '../../services/core/ports/bus.js'
import { Random } from '../../services/core/random.js'
import { encodeFlow } from '../../services/core/wire/flow.js'
import { seededFlow } from '../fakes/flows.js'
import { startKafka } from '../kafka/server.js'

const FLOWS = 50_000
const TRANSACTION_FLOWS = 10_000
const ROUNDS = 3
const SEGMENT_MESSAGES = 400
const SEGMENT_BYTES = 256 << 10
const POLL_BYTES = 4 << 20
const KEY = Buffer.from('1234567890')
const INPUT = { topic: 'segments', partition: 0 }

/** Runs `work`, which answers an amount, and prints it per second of time and of this process's CPU. */
async function measure(what: string, unit: string, work: () => Promise<number>): Promise<void> {
  const [cpu, begun] = [process.cpuUsage(), performance.now()]
  const amount = await work()
  const seconds = (performance.now() - begun) / 1000
  const { user, system } = process.cpuUsage(cpu)
  const rate = (per: number) => Math.round(amount / per).toLocaleString('en')
  console.log(
    `${what.padEnd(42)} ${rate(seconds)} ${unit}/s, ${rate((user + system) / 1e6)} ${unit}/s per core of the client`,
  )
}

/** Reads `count` records and answers how many bytes they had. */
async function readBack(bus: Bus, topic: string, count: number): Promise<number> {
  const consumer = await bus.consumer(`bench-${topic}`)
  await consumer.subscribe(topic, async () => {})
  let [records, bytes] = [0, 0]
  while (records < count) {
    for (const { value } of await consumer.poll(POLL_BYTES, 500)) {
      records += 1
      bytes += value.length
    }
  }
  await consumer.close()
  return bytes
}

export async function main(): Promise<number> {
  const kafka = await startKafka({ optimise: true })
  try {
    const bus = await KafkaBus.connect({ brokers: kafka.brokers })
    await bus.createTopic('flows', 1)
    await bus.createTopic(INPUT.topic, 1)
    const random = new Random(1)
    const values = Array.from({ length: FLOWS }, (_, i) => encodeFlow(seededFlow(random, i, 1_790_000_000_000_000)))
    const producer = await bus.producer({ transactionalId: 'bench' })
    const publish = async (from: number, to: number) => {
      const transaction = await producer.begin()
      await transaction.send(
        'flows',
        0,
        values.slice(from, to).map((value) => ({ key: KEY, value })),
      )
      await transaction.commitOffset('bench', INPUT, BigInt(from), '')
      await transaction.commit()
    }
    for (let round = 0; round < ROUNDS; round++) {
      await measure('flows sent, 10 000 a transaction', 'flows', async () => {
        for (let at = 0; at < FLOWS; at += TRANSACTION_FLOWS) await publish(at, at + TRANSACTION_FLOWS)
        return FLOWS
      })
    }
    await measure('flows read', 'flows', async () => {
      await readBack(bus, 'flows', ROUNDS * FLOWS)
      return ROUNDS * FLOWS
    })
    const begun = performance.now()
    for (let i = 0; i < 100; i++) await publish(i, i + 1)
    console.log(
      `${'a transaction of one flow and an offset'.padEnd(42)} ${((performance.now() - begun) / 100).toFixed(1)} ms`,
    )
    const message = Buffer.from(Array.from({ length: SEGMENT_BYTES }, (_, i) => (i * 7919 + (i >> 5)) & 0xff))
    const plain = await bus.producer()
    await measure('segments sent, 256 KiB a message', 'MB', async () => {
      for (let i = 0; i < SEGMENT_MESSAGES; i++) await plain.send(INPUT.topic, 0, [{ key: null, value: message }])
      return (SEGMENT_MESSAGES * SEGMENT_BYTES) / 1e6
    })
    await measure('segments read', 'MB', async () => (await readBack(bus, INPUT.topic, SEGMENT_MESSAGES)) / 1e6)
    await bus.close()
  } finally {
    await kafka.stop()
  }
  return 0
}
