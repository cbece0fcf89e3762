/** One stage of the chain in a process of its own, so that its CPU time is its own: `node stage.js BROKERS STAGE COUNT GROUP [URL]`. */

import { flowBlock } from '../../../services/adapters/clickhouse/flow_block.js'
import { ClickHouseStore } from '../../../services/adapters/clickhouse/store.js'
import { KafkaBus } from '../../../services/adapters/kafka/bus.js'
import { SYSTEM_CLOCK } from '../../../services/adapters/system/clock.js'
import type { BusRecord } from '../../../services/core/ports/bus.js'
import { TOPICS } from '../../../services/core/topics.js'
import { checkFlow } from '../../../services/core/wire/flow.js'
import { decodeSegmentBatch } from '../../../services/core/wire/segment_batch.js'
import { DecodePipeline } from '../../../services/decode/pipeline.js'
import { defaultPolicy, FlowPolicy } from '../../../services/decode/policy.js'
import { PROTOCOLS } from '../../../services/decode/protocols/registry.js'
import { DecodeWorker } from '../../../services/decode/worker.js'
import { Sink } from '../../../services/sink/sink.js'

const [brokers, stage, countText, group, storeUrl = ''] = process.argv.slice(2)
/** Messages or flows after which it is done. */
const count = Number(countText)
const POLL_BYTES = 4 << 20
const BLOCK_ROWS = 50_000
const policy = new FlowPolicy(defaultPolicy('metadata'))
const bus = await KafkaBus.connect({ brokers: brokers.split(',') })

async function read(topic: string, take: (record: BusRecord) => void): Promise<void> {
  const consumer = await bus.consumer(group)
  await consumer.subscribe(topic, async () => {})
  for (let left = count; left > 0; ) {
    for (const record of await consumer.poll(POLL_BYTES, 500)) {
      take(record)
      left -= 1
    }
  }
  await consumer.close()
}

async function work(): Promise<void> {
  switch (stage) {
    case 'fetch':
      return read(TOPICS.segments, () => {})
    case 'decode': {
      const pipeline = new DecodePipeline({ protocols: PROTOCOLS, policy, onFlow: () => {}, onConnection: () => {} })
      return read(TOPICS.segments, ({ value, offset }) =>
        pipeline.push(decodeSegmentBatch(value).segments, Number(offset)),
      )
    }
    case 'worker':
      return worker()
    case 'fetch flows':
      return read(TOPICS.flows, () => {})
    case 'read flows':
      return read(TOPICS.flows, ({ value }) => checkFlow(value))
    case 'blocks': {
      let messages: Buffer[] = []
      return read(TOPICS.flows, ({ value }) => {
        checkFlow(value)
        messages.push(value)
        if (messages.length < BLOCK_ROWS) return
        flowBlock({ messages, partition: 0, first: 0 })
        messages = []
      })
    }
    default:
      return sink()
  }
}

async function worker(): Promise<void> {
  const decoder = new DecodeWorker({ bus, clock: SYSTEM_CLOCK, group, protocols: PROTOCOLS, policy, deadLetters: true })
  await decoder.start()
  const running = decoder.run()
  while (decoder.metrics.messages < count) await SYSTEM_CLOCK.sleep(20)
  await decoder.stop()
  await running
  console.error(JSON.stringify(decoder.metrics))
}

async function sink(): Promise<void> {
  const store = new ClickHouseStore({ url: storeUrl })
  const storer = new Sink({ bus, store, clock: SYSTEM_CLOCK, group, epoch: group })
  await storer.start()
  const running = storer.run()
  while (storer.metrics.rows < count) await SYSTEM_CLOCK.sleep(20)
  await storer.stop()
  await running
  await store.close()
}

const [cpu, begun] = [process.cpuUsage(), performance.now()]
await work()
const { user, system } = process.cpuUsage(cpu)
console.log(JSON.stringify({ seconds: (performance.now() - begun) / 1000, cpuSeconds: (user + system) / 1e6 }))
await bus.close()
process.exit(0)
