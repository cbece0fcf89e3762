/**
 * Six hours of a cluster, with what a security engineer or an operator wants to be told of in their last minutes, and beside it
 * the ordinary life that looks like it. It knows what attacks, faults and ordinary services do, nothing of rules.
 */
import type { Flow } from '../../../services/core/flow.js'
import { registeredDomain } from '../../../services/decode/protocols/dns/domain.js'
import { LoggedWorld, MINUTE, S } from './log.js'

const HOUR = 60 * MINUTE
const FAILED: Partial<Flow> = { status_code: 503, outcome: 'server_error' }
const NOT_FOUND: Partial<Flow> = { status_code: 404, outcome: 'client_error' }
const REFUSED: Partial<Flow> = { status_code: 401, outcome: 'client_error' }

export class Attacks extends LoggedWorld {
  readonly untilUs: number

  constructor(untilUs: number, seed: number, cluster: string) {
    super(untilUs - 6 * HOUR, { seed, cluster, ns: 'sec' })
    this.untilUs = untilUs
    this.#errors()
    this.#latencies()
    this.#edges()
    this.#outside()
    this.#lookups()
    this.#logins()
  }

  #ago(us: number): number {
    return this.untilUs - us
  }

  #errors(): void {
    const { random } = this
    /** Share of requests that fail at a time (µs before the end). */
    const service = (name: string, perMinute: number, share: (agoUs: number) => number, how = FAILED): void => {
      this.traffic('front', name, this.#ago(HOUR), this.untilUs, perMinute, (atUs) =>
        random.chance(share(this.untilUs - atUs)) ? how : {},
      )
    }
    const lastMinute = (before: number, now: number) => (agoUs: number) => (agoUs <= MINUTE ? now : before)
    for (const [before, now, perMinute] of [
      [0, this.between(0.2, 0.9), 90],
      [0.01, this.between(0.25, 0.6), 120],
      [0.05, this.between(0.45, 0.8), 150],
    ]) {
      const name = this.name('broken')
      service(name, perMinute, lastMinute(before, now))
      this.plant('error_burst', name)
    }
    const decoys: [string, number, (agoUs: number) => number, Partial<Flow>?][] = [
      ['always', 120, () => 0.2],
      ['now-and-then', 100, () => 0.01],
      ['now-and-then', 60, () => 0.03],
      ['now-and-then', 200, () => 0.02],
      // Each ten minutes something fails, now as ever.
      ['batch', 100, (agoUs) => (Math.floor(agoUs / MINUTE) % 10 === 0 ? 0.25 : 0)],
      ['missing', 100, lastMinute(0, 0.6), NOT_FOUND],
      ['expired', 100, lastMinute(0, 0.5), REFUSED],
      // A few failures of a service that is hardly asked.
      ['seldom', 6, lastMinute(0, 0.5)],
    ]
    for (const [word, perMinute, share, how] of decoys) {
      const name = this.name(word)
      service(name, perMinute, share, how)
      this.decoy('error_burst', name)
    }
    const blip = this.name('blip')
    service(blip, 100, () => 0)
    for (let i = 0; i < 4; i++)
      this.call({ client: 'front', server: blip, atUs: this.#ago(10 * S + i), seen: 'server', more: FAILED })
    this.decoy('error_burst', blip)
  }

  #latencies(): void {
    const endpoint = (name: string, perMinute: number, latencyUs: (agoUs: number) => number): void => {
      this.traffic('front', name, this.#ago(3 * HOUR), this.untilUs, perMinute, (atUs) => ({
        endpoint: '/report',
        latencyUs: latencyUs(this.untilUs - atUs),
      }))
    }
    const changed = (before: () => number, now: () => number) => (agoUs: number) =>
      agoUs <= 10 * MINUTE ? now() : before()
    for (const [medianUs, factor, perMinute] of [
      [20_000, this.between(2, 5), 12],
      [100_000, this.between(2.2, 4), 8],
      [8_000, this.between(3, 6), 30],
    ]) {
      const name = this.name('slower')
      endpoint(
        name,
        perMinute,
        changed(
          () => this.longTail(medianUs, 0.5),
          () => this.longTail(medianUs * factor, 0.5),
        ),
      )
      this.plant('latency_regression', name)
    }
    const usual = (word: string, perMinute: number, latencyUs: (agoUs: number) => number): void => {
      const name = this.name(word)
      endpoint(name, perMinute, latencyUs)
      this.decoy('latency_regression', name)
    }
    // Slow, but as ever; with tails so long that a few requests more or less move their percentile.
    usual('slow', 12, () => this.longTail(2_000_000, 0.3))
    for (const perMinute of [6, 6, 8, 12]) usual('tail', perMinute, () => this.longTail(30_000, 1.2))
    usual('two-kinds', 10, () => (this.random.chance(0.06) ? this.longTail(900_000, 0.3) : this.longTail(10_000, 0.3)))
    // The report of each full hour.
    usual('hourly', 12, (agoUs) => this.longTail(agoUs % HOUR <= 10 * MINUTE ? 400_000 : 20_000, 0.4))
    usual(
      'quick',
      30,
      changed(
        () => this.longTail(500, 0.3),
        () => this.longTail(1500, 0.3),
      ),
    )
    usual(
      'rare',
      2,
      changed(
        () => this.longTail(20_000, 0.3),
        () => this.longTail(80_000, 0.3),
      ),
    )
  }

  /** Who has been there for three days, and what is new in the last minute. */
  #edges(): void {
    const old = (client: string, server: string, more: Partial<Flow> = {}) => {
      for (let i = 0; i < 3; i++)
        this.call({ client, server, atUs: this.#ago(72 * HOUR - i * HOUR), seen: 'server', more })
    }
    const now = (client: string, server: string, more: Partial<Flow> = {}) =>
      this.call({ client, server, atUs: this.#ago(this.between(2, 50) * S), seen: 'server', more })
    for (const protocol of ['postgresql', 'http1', 'redis']) {
      const [client, server] = [this.name('moved'), this.name('vault')]
      old(client, this.name('tools'))
      old(this.name('keeper'), server, { protocol })
      now(client, server, { protocol })
      this.plant('new_edge', `${client} ${server}`)
    }
    const known = (word: string, before: Partial<Flow>, after: Partial<Flow>): void => {
      const [client, server] = [this.name(word), this.name('shop')]
      old(client, server, before)
      now(client, server, after)
      this.decoy('new_edge', `${client} ${server}`)
    }
    known('deployed', {}, { client_pod: 'deployed-9c8b7a6d5e-zzzzz', client_ip: '10.7.250.1' })
    known('direct', { server_kind: 'service', server_pod: '' }, { server_pod: 'shop-2-9c8b7a6d5e-aaaaa' })
    known('upgraded', { protocol: 'http1' }, { protocol: 'http2', server_port: 8443 })
    const [fresh, server] = [this.name('fresh'), this.name('shop')]
    old('front', server)
    now(fresh, server)
    this.decoy('new_edge', `${fresh} ${server}`)
    const caller = this.name('caller')
    const away: Partial<Flow> = { server_kind: 'external', server_workload: '', server_pod: '', server_ns: '' }
    old(caller, 'x', { ...away, server_ip: '198.41.0.4' })
    now(caller, 'x', { ...away, server_ip: '198.41.0.5' })
    this.decoy('new_edge', `${caller} internet`)
  }

  #outside(): void {
    const { random } = this
    const out = (client: string, host: string, atUs: number, req_bytes: number, ip = '203.0.113.7') =>
      this.call({
        client,
        server: '',
        atUs,
        seen: 'client',
        more: {
          server_kind: 'external',
          server_ns: '',
          server_workload: '',
          server_pod: '',
          server_ip: ip,
          host,
          req_bytes,
        },
      })
    const evenly = (client: string, host: string, everyUs: number, spread: number, bytes: () => number): void => {
      for (let atUs = this.startUs + random.below(everyUs); atUs < this.untilUs; atUs += everyUs) {
        const at = atUs + Math.round(everyUs * spread * (random.next() - 0.5))
        if (at < this.untilUs) out(client, host, at, bytes())
      }
    }
    for (const [everyUs, spread] of [
      [this.between(30, 90) * S, 0.1],
      [this.between(120, 400) * S, this.between(0, 0.1)],
      [this.between(500, 850) * S, 0.05],
    ]) {
      const [client, host] = [this.name('implant'), `${this.name('c2')}.example`]
      const size = 200 + random.below(400)
      evenly(client, host, Math.round(everyUs), spread, () => size + random.below(6))
      this.plant('beaconing', `${client} ${host}`)
    }
    const decoy = (word: string, act: (client: string, host: string) => void): void => {
      const [client, host] = [this.name(word), `${this.name(word)}.example`]
      act(client, host)
      this.decoy('beaconing', `${client} ${host}`)
    }
    decoy('metrics', (client, host) => evenly(client, host, 60 * S, 0.02, () => 4000 + random.below(4000)))
    decoy('poll', (client, host) => evenly(client, host, 5 * S, 0.05, () => 300))
    decoy('token', (client, host) => evenly(client, host, 30 * MINUTE, 0.01, () => 700))
    decoy('jobs', (client, host) => {
      for (let atUs = this.startUs; atUs < this.untilUs; atUs += Math.round(this.between(60, 900) * S))
        out(client, host, atUs, 500)
    })
    decoy('person', (client, host) => {
      for (let i = 0; i < 150; i++) out(client, host, this.startUs + random.below(6 * HOUR), 200 + random.below(3000))
    })
    decoy('pages', (client, host) => {
      for (let atUs = this.startUs; atUs < this.untilUs; atUs += 5 * MINUTE)
        for (let i = 0; i < 5; i++) out(client, host, atUs + random.below(3 * S), 300 + random.below(900))
    })
    // What all have inside them reports to the same host.
    const host = `${this.name('telemetry')}.example`
    for (let i = 0; i < 8; i++) {
      const client = this.name('agent')
      evenly(client, host, 2 * MINUTE, 0.02, () => 512)
      this.decoy('beaconing', `${client} ${host}`)
    }
    // Cron and health checks stay inside.
    for (let atUs = this.startUs; atUs < this.untilUs; atUs += MINUTE)
      this.call({ client: 'kubelet', server: 'healthy', atUs, seen: 'server', more: { endpoint: '/healthz' } })
    this.decoy('beaconing', 'kubelet healthy')
  }

  #lookups(): void {
    const { random } = this
    const ask = (client: string, name: string, more: Partial<Flow> = {}) =>
      this.call({
        client,
        server: 'dns',
        atUs: this.#ago(1 * S + random.below(25 * MINUTE)),
        seen: 'client',
        more: {
          protocol: 'dns',
          method: 'A',
          transport: 'udp',
          server_port: 53,
          status_code: 0,
          resource: name,
          endpoint: registeredDomain(name),
          ...more,
        },
      })
    const letters = (alphabet: string, count: number) =>
      Array.from({ length: count }, () => alphabet[random.below(alphabet.length)]).join('')
    for (const [alphabet, chars, count, prefix] of [
      ['0123456789abcdef', 40, 150 + random.below(300), ''],
      ['abcdefghijklmnopqrstuvwxyz234567', 55, 120 + random.below(100), 'v1.'],
      ['0123456789abcdef', 60, 200, 'dnscat.'],
    ] as const) {
      const [client, domain] = [this.name('leak'), `${this.name('tunnel')}.example`]
      for (let i = 0; i < count; i++)
        ask(client, `${prefix}${letters(alphabet, chars)}.${domain}`, { method: random.pick(['TXT', 'A', 'NULL']) })
      this.plant('dns_tunnelling', `${client} ${domain}`)
    }
    const decoy = (
      word: string,
      domain: string,
      names: (i: number) => string,
      more: Partial<Flow> = {},
      count = 300,
    ) => {
      const client = this.name(word)
      for (let i = 0; i < count; i++) ask(client, names(i), more)
      this.decoy('dns_tunnelling', `${client} ${domain}`)
    }
    const words = [
      'production',
      'staging',
      'backup',
      'invoices',
      'archive',
      'frontend',
      'customer',
      'westeurope',
      'reports',
    ]
    const phrase = (count: number) => Array.from({ length: count }, () => random.pick(words)).join('-')
    decoy('cdn', 'cdn.example', () => `${letters('0123456789abcdef', 14)}.cdn.example`)
    decoy('buckets', 'objects.example', (i) => `${phrase(3)}-${i}.objects.example`)
    decoy('balancers', 'lb.example', (i) => `internal-k8s-${phrase(2)}-${letters('0123456789', 6)}-${i}.lb.example`)
    decoy('reverse', 'in-addr.arpa', () => `${[1, 2, 3].map(() => random.below(256)).join('.')}.10.in-addr.arpa`, {
      method: 'PTR',
    })
    decoy(
      'reverse6',
      'ip6.arpa',
      () => `${letters('0123456789abcdef', 24).split('').join('.')}.8.b.d.0.1.0.0.2.ip6.arpa`,
      {
        method: 'PTR',
      },
    )
    const site = () => `www.${letters('abcdefghijklmnopqrstuvwxyz', 9)}${random.below(99)}.example`
    // With ndots:5 each name of the outside is first looked for inside.
    decoy('crawler', 'cluster.local', () => `${site()}.sec.svc.cluster.local`, {
      status_code: 3,
      outcome: 'client_error',
    })
    decoy('search', 'compute.internal', () => `${site()}.eu-west-1.compute.internal`, {
      status_code: 3,
      outcome: 'client_error',
    })
    decoy('resolver', 'many', () => site(), { method: random.pick(['DS', 'DNSKEY']) })
    decoy('mdns', 'local', () => `${letters('0123456789abcdef', 32)}._googlecast._tcp.local`, { method: 'PTR' })
    const one = letters('0123456789abcdef', 40)
    decoy('again', 'long.example', () => `${one}.long.example`)
    decoy('few', 'few.example', () => `${letters('0123456789abcdef', 40)}.few.example`, {}, 80)
  }

  #logins(): void {
    const { random } = this
    interface Way {
      readonly refused: Partial<Flow>
      readonly right: Partial<Flow>
    }
    const form: Way = { refused: REFUSED, right: {} }
    const denied: Way = { refused: { status_code: 403, outcome: 'client_error' }, right: {} }
    const postgresql: Way = {
      refused: { protocol: 'postgresql', error: '28P01', status_code: 0, outcome: 'client_error', method: 'LOGIN' },
      right: { protocol: 'postgresql', status_code: 0, method: 'LOGIN' },
    }
    const page: Partial<Flow> = { method: 'POST', endpoint: '/login', resource: '/login' }
    const start = () => this.#ago(14 * MINUTE)
    /** `tries`: r refused, k let in; each `gapUs` after the one before. */
    const act = (
      who: string,
      tries: string,
      { refused, right }: Way,
      more: Partial<Flow> = page,
      gapUs = 8 * S,
    ): string => {
      const [client, server] = [this.name(who), this.name('door')]
      let atUs = start()
      for (const each of tries) {
        atUs += Math.round(gapUs * this.between(0.2, 1))
        this.call({ client, server, atUs, seen: 'server', more: { ...more, ...(each === 'r' ? refused : right) } })
      }
      return `${client} ${server}`
    }
    const r = (count: number) => 'r'.repeat(count)
    for (const [way, tries] of [
      [form, `${r(25 + random.below(40))}kkk`],
      [denied, `${r(22)}k`],
      [postgresql, `k${r(40 + random.below(40))}k`],
    ] as const)
      this.plant('brute_force', act('guesser', tries, way))
    const decoy = (who: string, tries: string, way = form, more = page) =>
      this.decoy('brute_force', act(who, tries, way, more))
    decoy('bot', r(90))
    decoy('forgot', `${r(4)}k`)
    decoy('forgot', `${r(9)}k${r(3)}k`, postgresql)
    decoy('nearly', `${r(18)}k`)
    // A token that runs out, again and again; many people behind one address who mistype now and then.
    decoy('refreshed', 'rk'.repeat(40))
    decoy('office', Array.from({ length: 90 }, () => (random.chance(0.45) ? 'r' : 'k')).join(''))
    // Not what opens the door: what one may not read, and then what one may.
    decoy('reader', `${r(30)}k`, denied, { method: 'GET', endpoint: '/orders/{id}' })
    const other = act('scanner', r(30), form, { method: 'GET', endpoint: '/admin/{id}' })
    const [client, server] = other.split(' ')
    this.call({ client, server, atUs: this.#ago(20 * S), seen: 'server', more: { endpoint: '/' } })
    this.decoy('brute_force', other)
  }
}
