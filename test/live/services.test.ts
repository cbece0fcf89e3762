/**
 * klartext capture, decode and sink as three processes over Kafka, and klartext up in one, capture the same traffic of this
 * host at the same time: the flows are equal in every column that is not a time or a number given by one of the two.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { KafkaBus } from '../../services/adapters/kafka/bus.js'
import { DemoServices } from '../../services/cli/demo/services.js'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import { TOPICS } from '../../services/core/topics.js'
import { decodeSegmentBatch } from '../../services/core/wire/segment_batch.js'
import { checkMetrics } from '../kafka/prometheus.js'
import type { TestKafka } from '../kafka/server.js'
import { killServices, ServiceProcess, until } from '../kafka/service_process.js'
import { ownKafka } from '../kafka/test_kafka.js'
import { type ServedStore, serveStore } from '../store/served_store.js'
import { freePort, NO_CAPTURE, run } from './harness.js'

const KLARTEXT = join(REPO_ROOT, 'services/cli/bin/klartext.mjs')
const PARTITIONS = 3
const PLAIN_REQUESTS = 40
/** Answers on connections that stood before the capturer came: they show themselves by their next request. */
const OWN_BYTES_MAX = 10_000
/** Times, and what each of the two numbers by itself. */
const OWN = 'ts, latency_us, ttfb_us, conn_id, seg_partition, seg_first, seg_last, in_partition, batch_first'

const kafka = NO_CAPTURE === false ? await ownKafka() : ''
const skip = NO_CAPTURE !== false ? NO_CAPTURE : typeof kafka === 'string' ? kafka : false

test('three processes over Kafka and one process give the same flows', { skip }, async (t) => {
  assert.ok(typeof kafka !== 'string')
  const served = await serveStore()
  const [folder, port] = [mkdtempSync(join(tmpdir(), 'klartext-up-')), await freePort()]
  const demo = new DemoServices()
  let up: ChildProcess | null = null
  after(async () => {
    killServices()
    up?.kill('SIGKILL')
    demo.stop()
    await served.close()
    await kafka.stop()
    rmSync(folder, { recursive: true, force: true })
  })
  const environment = { KAFKA_BROKERS: kafka.brokers.join(','), CLICKHOUSE_URL: served.url }
  const options = { env: { ...process.env, ...environment } }
  await run(process.execPath, [KLARTEXT, 'topics', 'apply', '--partitions', String(PARTITIONS)], options)
  const [capture, decode, sink] = ['capture', 'decode', 'sink'].map((name) => new ServiceProcess(name, environment))
  up = spawn(process.execPath, [KLARTEXT, 'up', '--data', folder, '--port', String(port)], { stdio: 'ignore' })
  await Promise.all([capture, decode, sink].map((service) => service.ready()))
  const upRows = (sql: string) => rowsAt(`http://127.0.0.1:${port}`, sql)
  await until(
    () =>
      upRows('SELECT 1').then(
        () => true,
        () => false,
      ),
    () => 'klartext up does not answer',
  )
  await untilBothSee(served, upRows)

  await demo.start()
  const plainPort = await plainTraffic()
  await demo.drive()
  demo.stop()
  const where = `server_port IN (${[...demo.ports, plainPort].join(', ')})`
  const sql = `SELECT * EXCEPT (${OWN}) FROM klartext.flows WHERE ${where}
    ORDER BY server_port, client_port, capture_side, exchange_seq, method, resource`
  let [ofServices, ofUp]: [unknown[], unknown[]] = [[], []]
  let stable = 0
  await until(
    async () => {
      const before = ofServices.length + ofUp.length
      ;[ofServices, ofUp] = [await served.rows(sql), await upRows(sql)]
      stable = ofServices.length + ofUp.length === before ? stable + 1 : 0
      await sleep(500)
      return ofUp.length > 2 * PLAIN_REQUESTS && stable >= 3
    },
    () => `${ofServices.length} flows over Kafka, ${ofUp.length} in one process`,
  )
  assert.deepEqual(ofServices, ofUp)
  t.diagnostic(`${ofUp.length} flows, equal in ${Object.keys(ofUp[0] as object).length} columns`)

  // What klartext says to its own Kafka is seen at both ends of each connection and must not go round.
  const ownBytes = await capture.metric('klartext_capture_own_bytes_total')
  const published = await publishedOf(kafka)
  t.diagnostic(`of klartext's own talk with Kafka ${ownBytes} bytes left out, ${published} published`)
  assert.ok(ownBytes > 100_000)
  assert.ok(published < OWN_BYTES_MAX, `${published} of ${ownBytes} bytes`)

  checkMetrics((await capture.get('/metrics')).text)
  assert.ok((await capture.metric('klartext_capture_libraries')) > 0)
  const codes = await Promise.all([capture, decode, sink].map((service) => service.end('SIGTERM')))
  // Whatever else this host does may have been too much for the capturer, which then says so.
  assert.ok(codes[0] === 0 || (codes[0] === 3 && capture.said.includes('"message":"lost"')), capture.said)
  assert.deepEqual(codes.slice(1), [0, 0], `${decode.said}${sink.said}`)
  up.kill('SIGTERM')
  assert.deepEqual(await once(up, 'exit'), [0, null])
})

/** Bytes that were published of connections with this Kafka that carry its segments; what brokers say to themselves does not. */
async function publishedOf({ brokers }: TestKafka): Promise<number> {
  const bus = await KafkaBus.connect({ brokers })
  const bytes = new Map<bigint, number>()
  const carrying = new Set<bigint>()
  for (let partition = 0; partition < PARTITIONS; partition++) {
    await bus.readAll(TOPICS.segments, partition, (records) => {
      for (const { connection, length, payload } of records.flatMap(
        ({ value }) => decodeSegmentBatch(value).segments,
      )) {
        const { id, serverPort, clientPort } = connection
        if (!bus.ports.includes(serverPort) && !bus.ports.includes(clientPort)) continue
        bytes.set(id, (bytes.get(id) ?? 0) + length)
        if (payload.includes(TOPICS.segments)) carrying.add(id)
      }
    })
  }
  await bus.close()
  return [...carrying].reduce((sum, id) => sum + (bytes.get(id) ?? 0), 0)
}

async function rowsAt(url: string, sql: string): Promise<unknown[]> {
  const answer = await fetch(`${url}/?default_format=JSONEachRow`, { method: 'POST', body: sql })
  const text = await answer.text()
  assert.equal(answer.status, 200, text)
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as unknown)
}

/** Until a request to a server of its own has come through both. */
async function untilBothSee(served: ServedStore, upRows: (sql: string) => Promise<unknown[]>): Promise<void> {
  const server = createServer((_request, response) => response.end('seen')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const sql = `SELECT 1 FROM klartext.flows WHERE server_port = ${port} LIMIT 1`
  await until(
    async () => {
      await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } }).then((answer) => answer.text())
      await sleep(200)
      return (await served.rows(sql)).length > 0 && (await upRows(sql)).length > 0
    },
    () => 'not both of them see this host',
  )
  server.close()
}

/** Keep-alive requests without TLS, one after the other; answers the port. */
async function plainTraffic(): Promise<number> {
  const server = createServer((incoming, response) => {
    incoming.resume()
    response.statusCode = incoming.url === '/missing' ? 404 : 200
    response.end('x'.repeat(1_000))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  for (let i = 0; i < PLAIN_REQUESTS; i++) {
    const path = i % 5 === 4 ? '/missing' : `/items/${i}?secret=${i}`
    const method = i % 3 === 0 ? 'POST' : 'GET'
    await new Promise<void>((resolve, reject) => {
      const sent = request({ host: '127.0.0.1', port, path, method, agent }, (response) =>
        response.resume().on('end', () => resolve()),
      )
      sent.on('error', reject)
      sent.end(method === 'POST' ? 'y'.repeat(i * 100) : undefined)
    })
  }
  agent.destroy()
  server.close()
  await once(server, 'close')
  return port
}
