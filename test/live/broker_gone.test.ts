/**
 * Kafka is gone while klartext capture captures this host: applications go on as before, the capturer lives and says what is
 * wrong, and with Kafka back it goes on by itself: what is asked from then on is stored, whole.
 * KLARTEXT_BROKER_AWAY_S: for how long (5 s); half a minute and more by hand.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { KafkaBus } from '../../services/adapters/kafka/bus.js'
import { createTopics } from '../../services/core/topics.js'
import { killServices, ServiceProcess, until } from '../kafka/service_process.js'
import { ownKafka } from '../kafka/test_kafka.js'
import { serveStore } from '../store/served_store.js'
import { NO_CAPTURE } from './harness.js'

const AWAY_MS = Number(process.env.KLARTEXT_BROKER_AWAY_S ?? 5) * 1000
const BODY = 'x'.repeat(16 << 10)
const AFTER = 20
const kafka = NO_CAPTURE === false ? await ownKafka() : ''
const skip = NO_CAPTURE !== false ? NO_CAPTURE : typeof kafka === 'string' ? kafka : false

test('Kafka is gone while this host is captured', { skip, timeout: 300_000 }, async (t) => {
  assert.ok(typeof kafka !== 'string')
  const served = await serveStore()
  const bus = await KafkaBus.connect({ brokers: kafka.brokers })
  const server = createServer((incoming, response) => incoming.resume().on('end', () => response.end(BODY)))
  const agent = new Agent({ keepAlive: true, maxSockets: 8 })
  after(async () => {
    killServices()
    agent.destroy()
    server.close()
    await bus.close()
    await served.close()
    await kafka.stop()
  })
  await createTopics(bus, 2)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  const ask = (path: string) =>
    new Promise<void>((resolve, reject) => {
      const sent = request({ host: '127.0.0.1', port, path, agent }, (response) => response.resume().on('end', resolve))
      sent.on('error', reject).end()
    })
  /** Answers how many were answered, and the longest time one took, in ms. */
  const load = async (isOver: () => boolean | Promise<boolean>) => {
    let [answered, longestMs] = [0, 0]
    while (!(await isOver())) {
      const begun = performance.now()
      await Promise.all(Array.from({ length: 8 }, () => ask('/load')))
      answered += 8
      longestMs = Math.max(longestMs, performance.now() - begun)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    return { answered, longestMs: Math.round(longestMs) }
  }
  const stored = async (path: string) =>
    Number((await served.rows(`SELECT countIf(complete = 1) AS n FROM klartext.flows WHERE resource = '${path}'`))[0].n)

  const environment = { KAFKA_BROKERS: kafka.brokers.join(','), CLICKHOUSE_URL: served.url, KLARTEXT_SINK_AGE_MS: '50' }
  const capture = new ServiceProcess('capture', { ...environment, KLARTEXT_CAPTURE_QUEUE_BYTES: String(1 << 20) })
  const [decode, sink] = ['decode', 'sink'].map((name) => new ServiceProcess(name, environment))
  await Promise.all([capture, decode, sink].map((service) => service.ready()))
  const before = await load(async () => (await stored('/load')) > 0)
  await kafka.kill()
  const begun = Date.now()
  const away = await load(() => Date.now() - begun > AWAY_MS)
  // Its last words may be of what it was asked while it ended.
  let ready = await capture.get('/readyz')
  await until(
    async () => {
      ready = await capture.get('/readyz')
      return /^kafka: Kafka at 127\.0\.0\.1:\d+, .*ECONNREFUSED/.test(ready.text)
    },
    () => `it says: ${ready.text}`,
  )
  assert.equal(ready.status, 503)
  assert.equal((await capture.get('/livez')).status, 200)
  assert.ok((await capture.metric('klartext_capture_shed_segments_total')) > 0, 'the queue was large enough for all')
  assert.ok((await capture.metric('klartext_capture_queue_fill_ratio')) < 1.5)
  const [, back] = await Promise.all([kafka.restart(), load(async () => (await capture.get('/readyz')).status === 200)])

  // What still waits for Kafka would leave connections out.
  await until(
    async () => (await capture.metric('klartext_capture_queue_bytes')) === 0,
    () => capture.said,
  )
  agent.destroy()
  const rest = new Agent({ keepAlive: true, maxSockets: 1 })
  for (let i = 0; i < AFTER; i++) {
    await new Promise<void>((resolve, reject) => {
      const options = { host: '127.0.0.1', port, path: '/after', agent: rest }
      request(options, (response) => response.resume().on('end', resolve))
        .on('error', reject)
        .end()
    })
  }
  rest.destroy()
  let afterwards = 0
  await until(
    // Seen at both ends of its connections.
    async () => {
      afterwards = await stored('/after')
      return afterwards >= 2 * AFTER
    },
    () => `what was asked afterwards is not stored (${afterwards} flows):\n${capture.said}${decode.said}${sink.said}`,
  )
  assert.equal(await stored('/after'), 2 * AFTER)
  // What was left out is in the coverage as well.
  const [{ bytes }] = await served.rows(
    `SELECT sum(bytes) AS bytes FROM klartext.coverage WHERE kind = 'loss' AND reason LIKE 'bus\\_%'`,
  )
  assert.ok(Number(bytes) > 0)
  t.diagnostic(
    `Kafka gone for ${AWAY_MS / 1000} s: ${away.answered} requests answered meanwhile, the slowest round of 8 in ${away.longestMs} ms ` +
      `(before ${before.longestMs} ms, after ${back.longestMs} ms); ${bytes} bytes left out and told`,
  )
  assert.equal(await capture.end('SIGTERM'), 3, capture.said)
  assert.deepEqual(await Promise.all([decode.end('SIGTERM'), sink.end('SIGTERM')]), [0, 0])
})
