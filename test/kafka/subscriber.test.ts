/** A SOC tool: an ordinary Kafka consumer with an ordinary registry client reads klartext.flows. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { SchemaRegistry } from '@kafkajs/confluent-schema-registry'
import { Kafka, logLevel } from 'kafkajs'
import { KafkaBus } from '../../services/adapters/kafka/bus.js'
import { type ColumnKind, FLOW_COLUMNS, type Flow } from '../../services/core/flow.js'
import { Random } from '../../services/core/random.js'
import { createTopics, TOPICS } from '../../services/core/topics.js'
import { decodeFlow, encodeFlow } from '../../services/core/wire/flow.js'
import { serveSchemas } from '../../services/schema_registry/server.js'
import { seededFlow } from '../fakes/flows.js'
import { findKafka } from './test_kafka.js'

const FLOWS = 200
const kafka = await findKafka()

test('flows published in transactions, read with kafkajs and a registry client: all columns, those undone not seen', {
  skip: typeof kafka === 'string' ? kafka : false,
}, async () => {
  assert.ok(typeof kafka !== 'string')
  after(() => kafka.stop())
  const bus = await KafkaBus.connect({ brokers: kafka.brokers })
  await createTopics(bus, 3)
  const random = new Random(5)
  const flows: Flow[] = Array.from({ length: FLOWS }, (_, i) => seededFlow(random, i, 1_790_000_000_000_000))
  const producer = await bus.producer({ transactionalId: 'publisher' })
  const publish = async (from: number, to: number, isKept: boolean) => {
    const transaction = await producer.begin()
    for (let i = from; i < to; i++) {
      const message = { key: Buffer.from(flows[i].conn_id), value: encodeFlow(flows[i]) }
      await transaction.send(TOPICS.flows, i % 3, [message])
    }
    await (isKept ? transaction.commit() : transaction.abort())
  }
  await publish(0, 50, true)
  await publish(0, 60, false)
  await publish(50, FLOWS, true)

  const schemas = await serveSchemas({ host: '127.0.0.1', port: 0 })
  const registry = new SchemaRegistry({ host: `http://127.0.0.1:${schemas.port}` })
  const client = new Kafka({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING })
  const consumer = client.consumer({ groupId: `soc-${process.pid}` })
  await consumer.connect()
  await consumer.subscribe({ topic: TOPICS.flows, fromBeginning: true })
  const seen = new Map<string, Record<string, unknown>[]>()
  let count = 0
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${count} of ${FLOWS} flows after 30 s`)), 30_000)
    void consumer.run({
      eachMessage: async ({ message }) => {
        const flow = (await registry.decode(message.value!)) as Record<string, unknown>
        const key = String(message.key)
        seen.set(key, [...(seen.get(key) ?? []), flow])
        count += 1
        if (count < FLOWS) return
        clearTimeout(timer)
        // Whatever came too much would come now.
        setTimeout(resolve, 500)
      },
    })
  })
  await consumer.disconnect()
  await schemas.close()
  assert.equal(count, FLOWS)
  for (const flow of flows) {
    const found = seen.get(flow.conn_id)?.find(({ exchange_seq }) => exchange_seq === flow.exchange_seq)
    assert.ok(found !== undefined, `${flow.conn_id}/${flow.exchange_seq}`)
    const wanted = decodeFlow(encodeFlow(flow)) as unknown as Record<string, unknown>
    for (const { name, kind } of FLOW_COLUMNS) {
      assert.deepEqual(plain(found[name], kind), plain(wanted[name], kind), name)
    }
  }
  await bus.close()
})

/** Times as numbers, header lists (name, value, name, value) and maps as plain objects. */
function plain(value: unknown, kind: ColumnKind): unknown {
  if (value instanceof Date) return value.getTime() * 1000
  if (kind !== 'pairs' && kind !== 'map') return value
  if (!Array.isArray(value)) return { ...(value as object) }
  return Object.fromEntries(value.flatMap((name, i) => (i % 2 === 0 ? [[name, value[i + 1]]] : [])))
}
