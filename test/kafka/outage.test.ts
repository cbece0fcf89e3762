/**
 * The store is away while traffic goes on: decode worker and sink stay small, and all is there once it is back.
 * KLARTEXT_OUTAGE_S: for how long (20 s); the figures of minutes are made by hand.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { KafkaBus } from '../../services/adapters/kafka/bus.js'
import { SYSTEM_CLOCK } from '../../services/adapters/system/clock.js'
import { SegmentPublisher } from '../../services/capture/publisher.js'
import { createTopics, TOPICS } from '../../services/core/topics.js'
import { batches, CONNECTIONS } from '../bench/chain/traffic.js'
import { serveStore } from '../store/served_store.js'
import { killServices, ServiceProcess, until } from './service_process.js'
import { ownKafka } from './test_kafka.js'

const OUTAGE_MS = Number(process.env.KLARTEXT_OUTAGE_S ?? 20) * 1000
const PARTITIONS = 12
const EXCHANGES = 24_000
const ROUND_MS = 1_000
/** Held rows, what is fetched ahead and the rest of a Node process. */
const RSS_MIB_MAX = 900
const STORED_MS_MAX = 240_000

function rssMib(service: ServiceProcess): number {
  const pid = service.child.pid
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024)
}

const kafka = await ownKafka()

test('a store that is away: nothing is lost, decode worker and sink stay small', {
  skip: typeof kafka === 'string' ? kafka : false,
  timeout: 1_200_000,
}, async (t) => {
  assert.ok(typeof kafka !== 'string')
  const served = await serveStore()
  const bus = await KafkaBus.connect({ brokers: kafka.brokers })
  after(async () => {
    killServices()
    await bus.close()
    await served.close()
    await kafka.stop()
  })
  await createTopics(bus, PARTITIONS)
  const environment = { KAFKA_BROKERS: kafka.brokers.join(','), CLICKHOUSE_URL: served.url }
  const decode = await new ServiceProcess('decode', environment).ready()
  const sink = await new ServiceProcess('sink', environment).ready()
  const publisher = new SegmentPublisher({ bus, clock: SYSTEM_CLOCK })
  await publisher.start()
  const stored = async () => Number((await served.rows('SELECT count() AS n FROM klartext.flows'))[0].n)
  let sent = 0
  let round = 0
  const publish = async () => {
    sent += EXCHANGES
    for (const batch of batches(EXCHANGES, CONNECTIONS * round++)) {
      await publisher.room()
      publisher.publishBatch(batch)
    }
    await publisher.flush()
  }
  await publish()
  await until(
    async () => (await stored()) > 0,
    () => `nothing was stored:\n${sink.said}`,
  )
  await served.refuse()
  const begun = Date.now()
  const [workerMib, sinkMib]: [number[], number[]] = [[], []]
  while (Date.now() - begun < OUTAGE_MS) {
    await publish()
    workerMib.push(rssMib(decode))
    sinkMib.push(rssMib(sink))
    await sleep(ROUND_MS)
  }
  const outageS = Math.round((Date.now() - begun) / 1000)
  const away = sent - (await stored())
  await served.serve()
  const before = await sink.metric('klartext_sink_retries_total')
  assert.ok(before > 0, 'the sink tried')
  let count = -1
  for (const end = Date.now() + STORED_MS_MAX; Date.now() < end; await sleep(500)) {
    const now = await stored()
    if (now === count && (await caughtUp(bus))) break
    count = now
  }
  const [worker, sunk] = [Math.max(...workerMib), Math.max(...sinkMib)]
  t.diagnostic(
    `store away for ${outageS} s, ${away} exchanges meanwhile: RSS of klartext decode at most ${worker} MiB, of klartext sink ` +
      `${sunk} MiB (in the middle ${sinkMib[sinkMib.length >> 1]} MiB)`,
  )
  const [{ n, different }] = await served.rows(
    'SELECT count() AS n, uniqExact(conn_id, exchange_seq) AS different FROM klartext.flows',
  )
  assert.equal(n, different, 'flows are stored twice')
  assert.equal(Number(n), sent, 'not all flows are stored')
  assert.ok(worker < RSS_MIB_MAX && sunk < RSS_MIB_MAX)
  await publisher.close()
})

/** Both groups have committed all that is in their topics. */
async function caughtUp(bus: KafkaBus): Promise<boolean> {
  for (const [group, topic] of [
    ['klartext-decode', TOPICS.segments],
    ['klartext-sink', TOPICS.flows],
  ]) {
    const reader = await bus.consumer(group)
    try {
      for (let partition = 0; partition < PARTITIONS; partition++) {
        const end = await bus.endOffset(topic, partition)
        const { offset } = await reader.committed({ topic, partition })
        // Behind the last record of flows stands the end of its transaction.
        if (end > 0n && offset < end - 1n) return false
      }
    } finally {
      await reader.close()
    }
  }
  return true
}
