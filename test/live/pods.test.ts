/**
 * Pods of two nodes talk to each other, TLS and plain, by address, by cluster IP and within a pod, and are captured live:
 * every flow is named right at both ends. And a delay that is put between the two nodes is the network's.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import type { Flow } from '../../services/core/flow.js'
import { whyNoCluster } from '../kubernetes/cluster.js'
import { NO_CAPTURE } from './harness.js'
import { PodChain } from './pods/chain.js'
import { whyNoNetwork } from './pods/network.js'
import { type Call, type Place, PodWorld, ZONES } from './pods/world.js'

const skip = NO_CAPTURE || whyNoCluster() || (whyNoNetwork() ?? false)
const HOST = 'host-1'
const COUNT = 12
const DELAY_US = 20_000
const SERVER_MS = 5
/** Requests per phase and kind of connection. */
const DELAYED = 30
const DELAYED_KINDS = [
  { name: 'python-tls', tool: 'python', tls: true },
  { name: 'python-plain', tool: 'python', tls: false },
  { name: 'curl-http2', tool: 'curl', tls: true },
  { name: 'node-tls', tool: 'node', tls: true },
] as const
const PHASES = { none: [0, 0], there: [DELAY_US, 0], back: [0, DELAY_US] } as const

const world = new PodWorld()
let chain: PodChain

before(async () => {
  if (skip) return
  await world.start()
  chain = new PodChain({ cluster: 'lab', node: HOST, kubeconfig: world.kubeconfig })
  await chain.start()
  await callEachOther()
  for (const [phase, [there, back]] of Object.entries(PHASES)) {
    await world.network.delay(there, back)
    for (const { name, tool, tls } of DELAYED_KINDS) {
      const ends = { from: 'front/app', to: 'api/node', via: 'service' } as const
      await world.call({ ...ends, tool, tls, count: DELAYED, serverMs: SERVER_MS, id: `${phase}-${name}` })
    }
  }
  await chain.finish()
})

after(async () => {
  await chain?.stop()
  await world.stop()
})

async function callEachOther(): Promise<void> {
  const usual = { tls: true, count: COUNT, serverMs: 0, via: 'address' } as const
  for (const tls of [true, false]) {
    for (const tool of ['curl', 'python', 'node'] as const) {
      await world.call({ ...usual, tls, tool, from: 'front/app', to: 'api/node' })
      await world.call({ ...usual, tls, tool, from: 'front/app', to: 'api/node', via: 'service' })
      await world.call({ ...usual, tls, tool, from: 'batch/job', to: 'web/nginx' })
    }
    // On one node, also by way of the service.
    await world.call({ ...usual, tls, tool: 'python', from: 'front/sidecar', to: 'web/nginx' })
    await world.call({ ...usual, tls, tool: 'curl', from: 'batch/job', to: 'api/node', via: 'service' })
    await world.call({ ...usual, tls, tool: 'curl', from: 'stranger', to: 'api/node' })
    await world.call({ ...usual, tls, tool: 'curl', from: 'node', to: 'web/nginx' })
  }
  await world.call({ ...usual, tls: false, tool: 'curl', from: 'front/app', to: 'front/sidecar', via: 'loopback' })
  // The same address is another pod's from here on.
  await world.succeed()
  for (const tls of [true, false])
    await world.call({ ...usual, tls, tool: 'curl', from: 'batch/writer', to: 'web/nginx' })
}

/** What one end should be called; undefined = no matter. */
interface EndName {
  readonly kind: string
  readonly ns: string
  readonly workload: string
  readonly pod: string
  readonly container: string
  readonly service: string
  readonly zone: string
}

const NOBODY = { ns: '', workload: '', pod: '', container: '', service: '', zone: '' }

function nameOf({ pod, container, network }: Place, observed: boolean): EndName {
  if (pod === null) {
    if (network.startsWith('node')) return { ...NOBODY, kind: 'node', workload: network, zone: ZONES[network] }
    return { ...NOBODY, kind: 'unknown', container: observed ? container : '' }
  }
  return {
    kind: 'pod',
    ns: pod.namespace,
    workload: pod.workload,
    pod: pod.name,
    container: observed ? container : '',
    service: pod.workload === 'api' ? 'api' : '',
    zone: ZONES[pod.node],
  }
}

const THE_SERVICE: EndName = { ...NOBODY, kind: 'service', ns: 'shop', workload: 'api', service: 'api' }

function expected({ from, to, via }: Call, side: 'client' | 'server'): { client: EndName; server: EndName } {
  const viaService = via === 'service' && side === 'client'
  const client = nameOf(from, side === 'client')
  const server = nameOf(to, side === 'server')
  // Within a pod both ends are the pod; which container the other one is, the address does not say.
  return { client, server: viaService ? THE_SERVICE : server }
}

function said(flow: Flow, end: 'client' | 'server'): EndName {
  const of = (name: 'kind' | 'ns' | 'workload' | 'pod' | 'container' | 'service' | 'zone') =>
    String(flow[`${end}_${name}`])
  return {
    kind: of('kind'),
    ns: of('ns'),
    workload: of('workload'),
    pod: of('pod'),
    container: of('container'),
    service: of('service'),
    zone: of('zone'),
  }
}

const callOf = ({ resource }: Flow): string | undefined => /^\/calls\/([\w-]+)\/\d+/.exec(resource)?.[1]

test('every flow is named right at both ends, and nothing else is named', { skip }, async (t) => {
  assert.deepEqual(chain.failures, [])
  const flows = await chain.rows<Flow>('SELECT * FROM klartext.flows ORDER BY ts')
  const wrong: unknown[] = []
  let [seen, named, others] = [0, 0, 0]
  for (const call of world.calls) {
    const mine = flows.filter((flow) => callOf(flow) === call.id)
    for (const side of ['client', 'server'] as const) {
      const at = mine.filter(({ capture_side }) => capture_side === side)
      assert.equal(at.length, call.count, `${side} of ${JSON.stringify({ ...call, from: call.from.network })}`)
      const truth = expected(call, side)
      for (const flow of at) {
        seen += 1
        const is = { client: said(flow, 'client'), server: said(flow, 'server') }
        if (!isDeepStrictEqual(is, truth)) wrong.push({ side, call: call.id, truth, is })
        for (const { kind } of [is.client, is.server]) named += kind === 'unknown' ? 0 : 1
      }
    }
  }
  assert.deepEqual(wrong.slice(0, 2), [], `${wrong.length} of ${seen} flows are named wrong`)
  for (const flow of flows) {
    if (callOf(flow) !== undefined || flow.resource === '/') continue
    others += 1
    assert.equal(`${flow.client_pod}${flow.server_pod}`, '', JSON.stringify(flow))
  }
  const both = await chain.rows<{ id: string; seen: string; n: number; different: number }>(`
    SELECT extract(resource, '^/calls/([a-z0-9-]+)/') AS id, seen, toUInt32(count()) AS n, uniqExact(resource) AS different
    FROM klartext.calls(${lastHour()}) WHERE id != '' GROUP BY id, seen`)
  const joined = world.calls.map(({ id, count }) => ({ id, seen: 'both', n: count, different: count }))
  const byId = (a: { id: string }, b: { id: string }) => (a.id < b.id ? -1 : 1)
  assert.deepEqual(both.sort(byId), joined.sort(byId))
  t.diagnostic(
    `${seen} flows of ${world.calls.length} pairs, ${named} ends named, 0 wrong; ${others} others, none named`,
  )
})

function lastHour(): string {
  const time = (ms: number) => new Date(ms).toISOString().slice(0, 19).replace('T', ' ')
  return `since = '${time(Date.now() - 3_600_000)}', until = '${time(Date.now() + 60_000)}'`
}

/** Of the quickest: what else this host does makes calls slower, at any point of their way. */
const quick = (share: string) => `min(${share}_us) AS ${share}`

interface Shares {
  readonly id: string
  readonly calls: number
  readonly total: number
  readonly network: number
  readonly server: number
  readonly client: number
  readonly network_request: number
}

test('a delay between two nodes is the network’s share, in its direction, and nobody else’s', { skip }, async (t) => {
  const rows = await chain.rows<Shares>(`
    SELECT extract(resource, '^/calls/((?:none|there|back)-[a-z0-9-]+)/') AS id, toUInt32(count()) AS calls,
      ${['total', 'network', 'server', 'client', 'network_request'].map(quick).join(', ')}
    FROM klartext.calls(${lastHour()}) WHERE id != '' AND timed GROUP BY id`)
  for (const { name } of DELAYED_KINDS) {
    const of = (phase: keyof typeof PHASES) => rows.find(({ id }) => id === `${phase}-${name}`) as Shares
    const [none, there, back] = [of('none'), of('there'), of('back')]
    const ms = (us: number) => (us / 1000).toFixed(2)
    for (const [phase, { total, network, server, client, network_request: request }] of Object.entries({
      none,
      there,
      back,
    }))
      t.diagnostic(
        `${name}, delay ${phase}: total ${ms(total)} = client ${ms(client)} + network ${ms(network)} (to the server ${ms(request)}) + server ${ms(server)} ms`,
      )
    for (const delayed of [there, back]) {
      assert.equal(delayed.calls, DELAYED)
      const added = delayed.network - none.network
      assert.ok(added >= DELAY_US && added < 1.5 * DELAY_US, `${name}: ${added} µs`)
      for (const share of ['server', 'client'] as const)
        assert.ok(delayed[share] - none[share] < DELAY_US / 4, `${name}: ${share} ${delayed[share]} µs`)
    }
    assert.ok(there.network_request - none.network_request >= DELAY_US)
    assert.ok(back.network_request - none.network_request < DELAY_US / 4)
  }
})
