/** The directory against a real kube-apiserver: names as of a time, with exactly the rights its manifest gives it. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { KubernetesClient } from '../../services/adapters/kubernetes/api.js'
import { PodTable } from '../../services/adapters/memory/pod_table.js'
import { SYSTEM_CLOCK } from '../../services/adapters/system/clock.js'
import type { Identity } from '../../services/core/pods.js'
import type { ApiError } from '../../services/core/ports/kubernetes.js'
import { Random } from '../../services/core/random.js'
import { Directory } from '../../services/directory/directory.js'
import { Cluster, whyNoCluster } from './cluster.js'
import { applyManifest, endPod, PODS, replicaSet, startPod } from './objects.js'

const skip = whyNoCluster()
const NOW_S = Math.floor(Date.now() / 1000)
const WORKLOADS = 6
const GENERATIONS = 5
const REPLICAS = 3

/** What really was: whose an address was, from when to when (s since 1970). */
interface Life {
  readonly ip: string
  readonly pod: string
  readonly workload: string
  readonly fromS: number
  readonly toS: number
}

let cluster: Cluster
let tokenFile: string
const table = new PodTable()
const stop = new AbortController()
const failures: ApiError[] = []
let directory: Directory
let running: Promise<void>

before(async () => {
  if (skip) return
  cluster = await Cluster.start()
  await cluster.call('POST', '/api/v1/namespaces', { metadata: { name: 'klartext' } })
  await cluster.call('POST', '/api/v1/namespaces', { metadata: { name: 'shop' } })
  await applyManifest(cluster, 'k8s/base/directory/rbac.yaml')
  // At first the token is not good, as after it has expired.
  tokenFile = join(cluster.folder, 'token')
  writeFileSync(tokenFile, 'expired')
  directory = new Directory({
    cluster: 'lab',
    api: new KubernetesClient({ kubeconfig: cluster.kubeconfig(tokenFile) }),
    clock: SYSTEM_CLOCK,
    onIdentity: (identity) => table.put(identity),
    onFailure: (_kind, error) => failures.push(error),
  })
  running = directory.run(stop.signal)
})

after(async () => {
  if (skip) return
  stop.abort()
  await running
  await cluster.stop()
})

async function until(what: string, holds: () => boolean): Promise<void> {
  const end = Date.now() + 30_000
  while (!holds()) {
    if (Date.now() > end) assert.fail(`${what}; the last failures: ${failures.slice(-3).map(({ message }) => message)}`)
    await sleep(50)
  }
}

/** Whose an address was, with all that is known by now. */
function holder(address: string, timeUs: number): Identity | null {
  const found = table.at().byAddress('lab', address, timeUs)
  return typeof found === 'string' ? null : found
}

test('without a good token it waits and says so; with one it goes on, and the rights of its manifest are enough', {
  skip,
}, async () => {
  await until('a refused token is told', () => failures.some(({ status }) => status === 401))
  writeFileSync(tokenFile, await cluster.token('klartext', 'klartext-directory'))
  await until('all kinds are listed', () => directory.podCount >= 0 && table.size > 0)
  await directory.synced
  assert.ok(!failures.some(({ status }) => status === 403), failures.map(({ message }) => message).join('\n'))
})

test('rolling restarts with addresses used again within seconds: every address at every second', {
  skip,
}, async (t) => {
  const lives: Life[] = []
  const random = new Random(3)
  await cluster.call('POST', '/api/v1/nodes', {
    metadata: { name: 'node-1', labels: { 'topology.kubernetes.io/zone': 'eu-1a' } },
  })
  let freeFrom = Array.from({ length: WORKLOADS * REPLICAS }, () => NOW_S - 3000)
  for (let generation = 0; generation < GENERATIONS; generation++) {
    const next: number[] = []
    const order = freeFrom.map((_, i) => i).sort(() => random.next() - 0.5)
    for (let w = 0; w < WORKLOADS; w++) {
      const set = await replicaSet(cluster, `w${w}-g${generation}`, `w${w}`)
      for (let r = 0; r < REPLICAS; r++) {
        // The next pod takes the address of some pod of the generation before, one to four seconds after its end.
        const slot = order[w * REPLICAS + r]
        const fromS = freeFrom[slot] + 1 + random.below(4)
        const toS = fromS + 60 + random.below(300)
        const life = { ip: `10.1.0.${slot + 1}`, pod: `${set.name}-p${r}`, workload: `w${w}`, fromS, toS }
        lives.push(life)
        next[slot] = toS
        await startPod(cluster, life.pod, life.ip, set, fromS)
      }
    }
    for (const life of lives.slice(-WORKLOADS * REPLICAS))
      if (generation < GENERATIONS - 1) await endPod(cluster, life.pod, life.fromS, life.toS)
    freeFrom = next
  }
  const last = lives.slice(-WORKLOADS * REPLICAS)
  await until('the last pods are known', () =>
    last.every(({ ip, fromS }) => holder(ip, fromS * 1e6)?.workload !== undefined),
  )
  await until('their workloads are known', () =>
    last.every(({ ip, fromS, workload }) => holder(ip, fromS * 1e6)?.workload === workload),
  )
  let asked = 0
  let unknown = 0
  for (const { ip, pod, workload, fromS, toS } of lives) {
    for (let second = fromS; second < toS; second++) {
      asked += 1
      const found = holder(ip, second * 1e6 + 500_000)
      if (found === null) unknown += 1
      else assert.deepEqual([found.name, found.workload, found.zone], [pod, workload, 'eu-1a'], `${ip} at ${second}`)
    }
  }
  assert.equal(unknown, 0)
  t.diagnostic(`${lives.length} pods, ${asked} questions, 0 wrong, ${unknown} unknown`)
})

test('what happened while the server was away is known after it is back', { skip }, async () => {
  const set = await replicaSet(cluster, 'late-g1', 'late')
  await startPod(cluster, 'late-1', '10.2.0.1', set, NOW_S - 100)
  await until('the pod is known', () => holder('10.2.0.1', NOW_S * 1e6)?.workload === 'late')
  await cluster.kill()
  await cluster.run()
  await cluster.call('DELETE', `${PODS}/late-1`)
  await startPod(cluster, 'late-2', '10.2.0.2', set, NOW_S - 50)
  await until('the new pod is known', () => holder('10.2.0.2', NOW_S * 1e6)?.name === 'late-2')
  await until('the old one has ended', () => holder('10.2.0.1', (Date.now() + 60_000) * 1000) === null)
  assert.equal(directory.unreadable, 0)
})
