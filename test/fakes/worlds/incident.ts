/**
 * An hour of a cluster in which something went wrong, and what an engineer asks about it: the answers to each of the ten
 * questions, planted, beside what only looks like one. It knows what happened, nothing of how it is asked for.
 */
import type { Flow } from '../../../services/core/flow.js'
import type { CoverageRow } from '../../../services/core/rows.js'
import { LoggedWorld, MINUTE, S } from './log.js'

const FAILED: Partial<Flow> = { status_code: 503, outcome: 'server_error' }
const MS = 1_000

export class Incident extends LoggedWorld {
  readonly coverage: CoverageRow[] = []
  readonly untilUs: number

  constructor(startUs: number, seed: number, cluster: string) {
    super(startUs, { seed, cluster })
    this.untilUs = startUs + 60 * MINUTE
    this.#failures()
    this.#shares()
    this.#versions()
    this.#slow()
    this.#lookups()
    this.#distances()
    this.#newPairs()
    this.#unseen()
    this.#counts()
  }

  /** A chain whose last service fails; who calls it fails some seconds later. */
  #failures(): void {
    const { random } = this
    const chain = Array.from({ length: 3 + random.below(3) }, () => this.name('chain'))
    let failsAt = this.at(25 + random.below(10), random.below(60))
    const failing = new Map<string, number>()
    for (const server of [...chain].reverse()) {
      failing.set(server, failsAt)
      failsAt += Math.round(this.between(11, 20) * S)
    }
    this.plant('first_failing', chain.at(-1) as string)
    for (const [i, server] of chain.entries()) {
      const client = i === 0 ? 'front' : chain[i - 1]
      this.every(2, 0, 50, (atUs) => {
        const isFailing = atUs >= (failing.get(server) as number) && random.chance(0.9)
        return { client, server, atUs: atUs + random.below(S), more: isFailing ? FAILED : {} }
      })
    }
    const other = (word: string, how: (atUs: number) => Partial<Flow>) => {
      const server = this.name(word)
      this.every(2, 0, 50, (atUs) => ({ client: 'front', server, atUs, more: how(atUs) }))
      this.decoy('first_failing', server)
    }
    other('shaky', () => (random.chance(0.04) ? FAILED : {}))
    other('strict', (atUs) =>
      atUs > this.at(20) ? { status_code: 404, outcome: 'client_error', endpoint: '/gone' } : {},
    )
    other('fine', () => ({}))
  }

  #shares(): void {
    for (const slow of ['network', 'server', 'client'] as const) {
      for (const [isPlanted, skewUs] of [
        [true, Math.round(this.between(-5, 5) * S)],
        [false, 0],
      ] as const) {
        const [client, server] = [this.name('near'), this.name('far')]
        const slowUs = Math.round(this.between(15, 60) * MS)
        const of = (part: string, usualUs: number) => (isPlanted && part === slow ? slowUs : usualUs)
        const [networkUs, serverUs, clientUs] = [of('network', 400), of('server', 2 * MS), of('client', 300)]
        this.every(10, 1, 50, (atUs) => ({
          client,
          server,
          atUs,
          networkUs,
          serverUs,
          latencyUs: networkUs + serverUs + clientUs,
          skewUs,
          // Clocks are those of nodes.
          more: { client_node: `${this.cluster}-${client}`, server_node: `${this.cluster}-${server}` },
        }))
        this.plant('client_network_server', `${client} ${server} ${isPlanted ? slow : 'server'}`)
      }
    }
  }

  #versions(): void {
    const { random } = this
    const generation = () => Array.from({ length: 9 }, () => '0123456789bcdf'[random.below(14)]).join('')
    const rolled = (
      word: string,
      requests: readonly [number, number],
      latencyUs: readonly [() => number, () => number],
      errors: readonly [number, number] = [0, 0],
    ): string => {
      const server = this.name(word)
      for (const half of [0, 1]) {
        const hash = generation()
        const [fromUs, toUs] = [this.at(half === 0 ? 1 : 31), this.at(half === 0 ? 29 : 58)]
        for (let i = 0; i < requests[half]; i++) {
          const isFailed = (i * errors[half]) % requests[half] < errors[half]
          const more: Partial<Flow> = {
            server_pod: `${server}-${hash}-abcde`,
            ...(isFailed ? FAILED : {}),
          }
          const atUs = Math.round(fromUs + ((toUs - fromUs) * i) / requests[half])
          this.call({ client: 'front', server, atUs, latencyUs: latencyUs[half](), networkUs: 0, seen: 'server', more })
        }
      }
      return server
    }
    const tail = (medianUs: number, sigma: number) => () => this.longTail(medianUs, sigma)
    const usual = tail(10 * MS, 0.4)
    this.plant('regression', rolled('slower', [300, 200], [usual, tail(10 * MS * this.between(2, 4), 0.4)]))
    this.plant('regression', rolled('worse', [300, 150], [usual, usual], [1, 20 + random.below(20)]))
    this.decoy('regression', rolled('same', [200, 200], [usual, usual]))
    for (const count of [60, 80, 150])
      this.decoy('regression', rolled('long-tail', [count, count], [tail(20 * MS, 1.1), tail(20 * MS, 1.1)]))
    this.decoy('regression', rolled('one-error', [70, 60], [usual, usual], [0, 1]))
    this.decoy('regression', rolled('faster', [200, 200], [tail(50 * MS, 0.4), usual]))
    this.decoy('regression', rolled('hardly-asked', [200, 20], [usual, tail(90 * MS, 0.4)]))
    this.decoy('regression', rolled('always-failing', [200, 200], [usual, usual], [30, 31]))
  }

  #slow(): void {
    const { random } = this
    for (let i = 0; i < 3; i++) {
      const resource = `/export/${random.below(1000)}-${i}`
      const serverUs = Math.round(this.between(61, 90) * S)
      this.call({
        client: 'front',
        server: 'report',
        atUs: this.at(5 + random.below(40)),
        serverUs,
        more: { resource },
      })
      this.plant('slow_requests', resource)
    }
    const open = (resource: string, more: Partial<Flow>) => {
      this.call({
        client: 'front',
        server: 'feed',
        atUs: this.at(2),
        serverUs: 50 * MINUTE,
        more: { resource, ...more },
      })
      this.decoy('slow_requests', resource)
    }
    open('/socket', { protocol: 'websocket' })
    open('/upgrade', { status_code: 101 })
    open('/events', { content_type: 'text/event-stream; charset=utf-8' })
    this.every(20, 0, 55, (atUs, i) => ({
      client: 'front',
      server: 'report',
      atUs,
      serverUs: Math.round(this.between(1, 20) * S),
      more: { resource: `/page/${i}`, endpoint: '/page/{id}' },
    }))
  }

  #lookups(): void {
    const { random } = this
    const ask = (client: string, name: string, atUs: number, more: Partial<Flow> = {}) =>
      this.call({
        client,
        server: 'dns',
        atUs,
        more: {
          protocol: 'dns',
          method: 'A',
          transport: 'udp',
          server_port: 53,
          status_code: 0,
          resource: name,
          endpoint: name,
          ...more,
        },
      })
    const missing: Partial<Flow> = { status_code: 3, outcome: 'client_error', error: 'NXDOMAIN' }
    const broken: Partial<Flow> = { status_code: 2, outcome: 'server_error', error: 'SERVFAIL' }
    for (const [name, more] of [
      ['old-db.shop.svc.cluster.local', missing],
      ['typo.example', missing],
      ['lame.example', broken],
      ['silent.example', { outcome: 'no_response' } satisfies Partial<Flow>],
    ] as const) {
      const client = this.name('asker')
      const count = 3 + random.below(20)
      for (let i = 0; i < count; i++) ask(client, name, this.at(3 + random.below(50), i), more)
      this.plant('dns_failures', `${client} ${name} ${count}`)
    }
    // Inside first, then outside, as ndots:5 has it; what only one of two resolves has failed for the other.
    const client = this.name('asker')
    for (let i = 0; i < 10; i++) {
      const [name, atUs] = [`api-${i}.example`, this.at(4 + i)]
      for (const suffix of [
        'shop.svc.cluster.local',
        'svc.cluster.local',
        'cluster.local',
        'eu-west-1.compute.internal',
      ]) {
        ask(client, `${name}.${suffix}`, atUs, missing)
        this.decoy('dns_failures', `${client} ${name}.${suffix}`)
      }
      ask(client, name, atUs + 20 * MS)
    }
    const alone = this.name('asker')
    ask(alone, 'api-1.example.shop.svc.cluster.local', this.at(9), missing)
    this.plant('dns_failures', `${alone} api-1.example.shop.svc.cluster.local 1`)
    for (let i = 0; i < 20; i++) ask(client, 'slow.example', this.at(10, i), { latency_us: 2 * S })
    this.decoy('dns_failures', `${client} slow.example`)
  }

  #distances(): void {
    const { random } = this
    const away: Partial<Flow> = {
      server_kind: 'external',
      server_ip: '203.0.113.9',
      server_workload: '',
      server_pod: '',
    }
    for (const [scope, isPlanted, more] of [
      ['internet', true, away],
      ['other_cluster', true, { server_cluster: 'elsewhere', server_node: 'far' }],
      ['cross_zone', true, { server_zone: 'eu-1c' }],
      ['same_zone', false, {}],
      ['same_node', false, { server_node: `${this.cluster}-node-1` }],
    ] as const) {
      const client = this.name('mover')
      const [count, bytes] = [5 + random.below(20), 1_000_000 * (1 + random.below(9))]
      for (let i = 0; i < count; i++)
        this.call({
          client,
          server: 'store',
          atUs: this.at(10 + random.below(40)),
          more: { req_bytes: bytes, ...more },
        })
      const who = `${client} ${scope} ${count * bytes}`
      if (isPlanted) this.plant('egress', who)
      else this.decoy('egress', who)
    }
  }

  #newPairs(): void {
    const old = (client: string, server: string, more: Partial<Flow> = {}) =>
      this.call({ client, server, atUs: this.startUs - 3 * 24 * 60 * MINUTE, seen: 'server', more })
    const now = (client: string, server: string, more: Partial<Flow> = {}) =>
      this.call({ client, server, atUs: this.at(59, this.random.below(50)), seen: 'server', more })
    for (let i = 0; i < 2; i++) {
      const [client, server] = [this.name('debug'), this.name('ledger')]
      old('front', server)
      now(client, server)
      this.plant('new_edges', `${client} ${server}`)
    }
    for (const [before, after] of [
      [{}, {}],
      [{}, { client_pod: 'pod-of-another-version-x1y2z' }],
      [{ server_kind: 'service', server_pod: '' }, {}],
    ] as const) {
      const [client, server] = [this.name('known'), this.name('shop')]
      old(client, server, before)
      now(client, server, after)
      this.decoy('new_edges', `${client} ${server}`)
    }
  }

  #unseen(): void {
    const row = (kind: CoverageRow['kind'], subject: string, more: Partial<CoverageRow>, minute = 30) => {
      const { cluster } = this
      const [node, container] = [`${cluster}-node-1`, '']
      const base = { ts: this.at(minute), cluster, node, kind, subject, pid: 0, container, state: '', reason: '' }
      this.coverage.push({ ...base, detail: '', bytes: 0, count: 1, ...more } as CoverageRow)
    }
    const lost = 4096 * (1 + this.random.below(99))
    row('loss', 'ring', { reason: 'ring_full', bytes: lost })
    row('loss', 'ring', { reason: 'ring_full', bytes: lost }, 40)
    this.plant('coverage', `ring ring_full ${2 * lost}`)
    row('library', '/opt/java/libtls.so', { state: 'not_hooked', reason: 'not_supported' })
    this.plant('coverage', '/opt/java/libtls.so not_supported 0')
    row('library', '/usr/lib/libssl.so.3', { state: 'hooked' })
    row('bytes', 'ring', { bytes: 10 ** 9 })
    row('loss', 'ring', { reason: 'ring_full', bytes: 77 }, 70)
    for (const subject of ['libssl hooked', 'bytes that were seen', 'a loss after the hour'])
      this.decoy('coverage', subject)
  }

  /** What service_map and errors must answer is whatever happened: each call once, of both ends that saw it. */
  #counts(): void {
    const calls = new Map<string, number>()
    const errors = new Map<string, number>()
    const seen = new Set<string>()
    for (const flow of this.flows) {
      if (flow.ts < this.startUs - MINUTE) continue
      const call = `${flow.client_ip} ${flow.client_port} ${flow.server_ip}`
      if (seen.has(call)) continue
      seen.add(call)
      const server = flow.server_workload === '' ? 'internet' : flow.server_workload
      count(calls, `${flow.client_workload} ${server} ${flow.protocol} ${flow.server_cluster}`)
      if (flow.outcome !== 'ok')
        count(errors, `${server} ${flow.protocol} ${flow.method} ${flow.endpoint} ${flow.status_code} ${flow.outcome}`)
    }
    for (const [edge, requests] of calls) this.plant('service_map', `${edge} ${requests}`)
    for (const [endpoint, times] of errors) this.plant('errors', `${endpoint} ${times}`)
  }
}

function count(into: Map<string, number>, key: string): void {
  into.set(key, (into.get(key) ?? 0) + 1)
}
