/**
 * klartext directory, decode and sink as processes between a real kube-apiserver, a real Kafka and a store: what pods were is in
 * klartext.pods and names the flows, whatever happens to the directory, its token and the API server meanwhile.
 */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { KafkaBus } from '../../services/adapters/kafka/bus.js'
import { PodTable } from '../../services/adapters/memory/pod_table.js'
import { SYSTEM_CLOCK } from '../../services/adapters/system/clock.js'
import { partitionOf } from '../../services/core/partitioner.js'
import { ConnectionInfo, type Direction, Segment, SegmentFlag } from '../../services/core/segment.js'
import { createTopics, TOPICS } from '../../services/core/topics.js'
import { POD_SCHEMA_ID } from '../../services/core/wire/pods.js'
import { SegmentBatchWriter } from '../../services/core/wire/segment_batch.js'
import { PodFeed } from '../../services/decode/pod_feed.js'
import type { TestKafka } from '../kafka/server.js'
import { killServices, ServiceProcess, until } from '../kafka/service_process.js'
import { ownKafka } from '../kafka/test_kafka.js'
import { type ServedStore, serveStore } from '../store/served_store.js'
import { Cluster, whyNoCluster } from './cluster.js'
import { applyManifest, endPod, type Owner, PODS, replicaSet, startPod } from './objects.js'

const PARTITIONS = 3
const noCluster = whyNoCluster()
const kafka = noCluster === false ? await ownKafka() : noCluster
/** One address that goes from pod to pod, and who calls it. */
const SHARED_IP = '10.1.0.1'
const CLIENT_IP = '10.1.0.9'
const container = (name: string) => Buffer.from(name.padEnd(32, '.')).toString('hex')
const nowS = () => Date.now() / 1000

describe('names from the API server to the stored flow', { skip: typeof kafka === 'string' ? kafka : false }, () => {
  let cluster: Cluster
  let served: ServedStore
  let bus: KafkaBus
  let environment: Record<string, string>
  let tokenFile: string
  let set: Owner
  let directory: ServiceProcess
  let calls = 0

  before(async () => {
    ;[cluster, served] = await Promise.all([Cluster.start(), serveStore()])
    const { brokers } = kafka as TestKafka
    bus = await KafkaBus.connect({ brokers })
    await createTopics(bus, PARTITIONS)
    for (const name of ['klartext', 'shop']) await cluster.call('POST', '/api/v1/namespaces', { metadata: { name } })
    await applyManifest(cluster, 'k8s/base/directory/rbac.yaml')
    tokenFile = join(cluster.folder, 'token')
    await newToken()
    environment = {
      KAFKA_BROKERS: brokers.join(','),
      CLICKHOUSE_URL: served.url,
      KLARTEXT_CLUSTER: 'lab',
      KUBECONFIG: cluster.kubeconfig(tokenFile),
      KLARTEXT_SINK_AGE_MS: '50',
    }
    await cluster.call('POST', '/api/v1/nodes', {
      metadata: { name: 'node-1', labels: { 'topology.kubernetes.io/zone': 'eu-1a' } },
    })
    set = await replicaSet(cluster, 'web-7d9', 'web')
    await startPod(cluster, 'caller', CLIENT_IP, await replicaSet(cluster, 'front-5c8', 'front'), nowS() - 60)
  })

  after(async () => {
    killServices()
    await bus?.close()
    await served?.close()
    await cluster?.stop()
    await (kafka as TestKafka).stop()
  })

  const newToken = async () => writeFileSync(tokenFile, await cluster.token('klartext', 'klartext-directory'))
  const start = async (pod: string, ip = SHARED_IP) => startPod(cluster, pod, ip, set, nowS() - 1, container(pod))

  /** One call to the address, as its client's end saw it: the pod behind is known by the address alone. */
  async function call(ip = SHARED_IP): Promise<string> {
    calls += 1
    const resource = `/call/${calls}`
    const info = Object.assign(new ConnectionInfo((BigInt(calls) * 0x9e3779b97f4a7c15n) & 0xffff_ffff_ffff_ffffn), {
      side: 'client' as const,
      source: 'socket' as const,
      clientIp: CLIENT_IP,
      clientPort: 40_000 + calls,
      serverIp: ip,
      serverPort: 8080,
      cluster: 'lab',
      node: 'node-1',
    })
    const header = { cluster: 'lab', node: 'node-1', bootId: '', capturerVersion: '0', sequence: calls }
    const batch = new SegmentBatchWriter(header)
    const say = (direction: Direction, text: string, timeUs: number) => {
      const payload = Buffer.from(text)
      const flags = direction === 0 ? SegmentFlag.OPEN : 0
      batch.add(new Segment(info, direction, 0, payload.length, payload, timeUs, 0, flags))
    }
    const timeUs = Date.now() * 1000
    say(0, `GET ${resource} HTTP/1.1\r\nHost: web\r\n\r\n`, timeUs)
    say(1, 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok', timeUs + 5000)
    const producer = await bus.producer()
    await producer.send(TOPICS.segments, partitionOf(info.id, PARTITIONS), [{ key: null, value: batch.finish() }])
    await producer.close()
    return resource
  }

  /** Whom the stored flow of a call names. */
  async function named(resource: string): Promise<unknown> {
    let rows: Record<string, unknown>[] = []
    const sql = `SELECT client_workload, server_pod, server_workload, server_zone FROM klartext.flows WHERE resource = '${resource}'`
    await until(
      async () => {
        rows = await served.rows(sql)
        return rows.length > 0
      },
      () => `${resource} is not stored:\n${directory.said}`,
    )
    assert.equal(rows.length, 1)
    return Object.values(rows[0])
  }

  const web = (pod: string) => ['front', pod, 'web', 'eu-1a']

  test('pods that come and go name the flows at their time', async () => {
    directory = new ServiceProcess('directory', environment)
    const decode = new ServiceProcess('decode', environment)
    const sink = new ServiceProcess('sink', environment)
    await start('web-1')
    await Promise.all([directory, decode, sink].map((service) => service.ready()))
    // Before anything is told of a cluster, nobody waits for its names.
    await until(
      async () => (await decode.metric('klartext_decode_pod_messages_total')) > 0,
      () => `it has read of no pods:\n${decode.said}`,
    )
    const first = await call()
    assert.deepEqual(await named(first), web('web-1'))
    await endPod(cluster, 'web-1', nowS() - 2, nowS())
    await sleep(3000)
    await start('web-2')
    await sleep(1500)
    assert.deepEqual(await named(await call()), web('web-2'))
  })

  test('a directory that is killed: the next one tells what happened meanwhile', async () => {
    await directory.end('SIGKILL')
    await cluster.call('DELETE', `${PODS}/web-2`)
    await start('web-3', '10.1.0.3')
    directory = new ServiceProcess('directory', environment)
    await directory.ready()
    assert.deepEqual(await named(await call('10.1.0.3')), web('web-3'))
    // Nobody has the address any more.
    assert.deepEqual(await named(await call()), ['front', '', '', ''])
  })

  test('a server that was away and forgot, and a token that is good no more: it goes on by itself', async () => {
    directory.child.kill('SIGSTOP')
    await cluster.kill()
    await cluster.run()
    await cluster.call('DELETE', `${PODS}/web-3`)
    await start('web-4')
    // The account is made anew: what was signed for the old one is refused.
    await cluster.call('DELETE', '/api/v1/namespaces/klartext/serviceaccounts/klartext-directory')
    await cluster.call('POST', '/api/v1/namespaces/klartext/serviceaccounts', {
      metadata: { name: 'klartext-directory', namespace: 'klartext' },
    })
    directory.child.kill('SIGCONT')
    await directory.logged(({ error }) => /\b401\b/.test(String(error)))
    assert.equal((await directory.get('/readyz')).status, 503)
    await newToken()
    await directory.ready()
    assert.ok((await directory.metric('klartext_directory_forgotten_total')) > 0)
    assert.deepEqual(await named(await call()), web('web-4'))
  })

  test('two directories at once, and one again from the start: the same is told, and stored once', async () => {
    const second = new ServiceProcess('directory', { ...environment })
    await second.ready()
    await start('web-5', '10.1.0.5')
    assert.deepEqual(await named(await call('10.1.0.5')), web('web-5'))
    await Promise.all([directory.end('SIGTERM'), second.end('SIGKILL')])
    directory = new ServiceProcess('directory', environment)
    await directory.ready()
    await start('web-6', '10.1.0.6')
    assert.deepEqual(await named(await call('10.1.0.6')), web('web-6'))
    assert.deepEqual(await named(await call()), web('web-4'))

    const keys: string[] = []
    await bus.readAll(TOPICS.pods, 0, (records) => {
      for (const { key, value } of records) {
        keys.push(String(key))
        // Confluent's frame; nobody who is told of was never there.
        if (value.length > 0) assert.deepEqual([value[0], value.readUInt32BE(1)], [0, POD_SCHEMA_ID])
      }
    })
    const feed = new PodFeed({ bus, clock: SYSTEM_CLOCK, pods: new PodTable() })
    await feed.start()
    await feed.stop()
    const table = feed.pods as PodTable
    const identities = new Set(keys.filter((key) => !key.endsWith('/')))
    assert.equal(table.size, identities.size)
    const stored = await served.rows(
      "SELECT name, count() AS n FROM klartext.pods FINAL WHERE kind = 'pod' GROUP BY name",
    )
    const pods = ['caller', ...[1, 2, 3, 4, 5, 6].map((i) => `web-${i}`)]
    assert.deepEqual(
      stored.map(({ name, n }) => [name, Number(n)]).sort(),
      pods.map((name) => [name, 1]),
    )
    const ended = await served.rows(
      "SELECT name FROM klartext.pods FINAL WHERE kind = 'pod' AND valid_to < now() ORDER BY name",
    )
    assert.deepEqual(
      ended.map(({ name }) => name),
      ['web-1', 'web-2', 'web-3'],
    )
    assert.equal(await directory.end('SIGTERM'), 0, directory.said)
    assert.equal(directory.rest, '')
  })
})
