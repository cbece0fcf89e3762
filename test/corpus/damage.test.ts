/**
 * Every stream of every protocol's captures with one random piece lost, and joined late at every byte: nothing is invented,
 * mispaired or overstated, only what was touched is lost, and the next whole message is decoded.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NO_CORPUS } from './corpus.js'
import { corpusStreams, joinLate, loseOnePiece, type Stream } from './damage.js'

interface Damaged {
  readonly protocol: string
  readonly groups: readonly string[]
  /** Streams of which a whole run is no measure, each with its reason above it; by name, or by what it holds. */
  readonly leftOut?: (stream: Stream) => boolean
  /** And those that have no measure only where they are joined late, or only for what was over before a loss. */
  readonly leftOutLate?: RegExp
  readonly leftOutBefore?: RegExp
  /** Shares, of what was not touched, of next messages, and of what began after a late join. */
  readonly kept: number
  readonly next: number
  readonly late: number
}

const named =
  (...names: string[]) =>
  ({ name }: Stream): boolean =>
    names.includes(name)

const TABLE: readonly Damaged[] = [
  {
    protocol: 'http1',
    groups: ['http1', 'http1-evader', 'encap', 'tcp-reassembly'],
    /**
     * Malformed on purpose:
     * - evader-273: the first field line begins with a tab; with the bytes behind it lost it reads as a field of its own;
     * - evader-491: a blank and CR before the status line make it no response; joined behind them it is one;
     * - desync-5: three answers to one request, of which the first, its own, is what is lost;
     * - bug-2512: CONNECT without an answer, and TLS behind it: joined behind the CONNECT the TLS is there to be seen;
     * - methods.pcap 15 and 19: joined in the middle of the method CCM_POST, what is left is a POST.
     * And one with losses of its own, in both directions at once: the pair behind them is told of as one only because the
     * client's next request came whole.
     */
    leftOut: named(
      'suricata-verify/http1-evader/http-evader__http-evader-273.pcap #0',
      'suricata-verify/http1-evader/http-evader__http-evader-491.pcap #0',
      'suricata-verify/http1/bug-2512__sample_10.62.112.41_62227.pcap #0',
      'zeek/http1/http-desync-request-response-5.pcap #1',
      'zeek/http1/methods.pcap #15',
      'zeek/http1/methods.pcap #19',
      'zeek/http1/zero-length-bodies-with-drops.pcap #0',
    ),
    kept: 0.99,
    next: 0.95,
    late: 0.95,
  },
  { protocol: 'http2', groups: ['http2', 'grpc'], kept: 0.99, next: 0.95, late: 0.95 },
  {
    protocol: 'http2',
    groups: ['http2', 'grpc'],
    kept: 0.99,
    next: 0.99,
    late: 0.95,
  },
  {
    protocol: 'websocket',
    groups: ['websocket'],
    /** HTTP goes through the frames of these tunnels: joined where a payload begins, it is plain HTTP. */
    leftOutLate: /zeek\/websocket\/(websocket|wstunnel-http)\.pcap/,
    kept: 0.99,
    next: 0.99,
    // Few frames say what they are without those before them.
    late: 0.9,
  },
  {
    protocol: 'tls',
    groups: ['tls', 'postgresql', 'smtp', 'ldap', 'ftp', 'mysql'],
    kept: 0.99,
    next: 0.99,
    late: 0.95,
  },
  {
    protocol: 'dns',
    groups: ['dns'],
    /**
     * A query that was sent again, or answered twice, has the same id and question each time: where one of them is lost,
     * nothing tells which of the others belong together. In multicast answers go either way.
     */
    leftOut: ({ whole }) =>
      whole.exchanges.some(
        ({ attrs, anomalies, l7Version }) =>
          l7Version === 'mdns' ||
          attrs?.['dns.retry'] !== undefined ||
          anomalies.includes('dns.response_without_query'),
      ),
    kept: 0.99,
    next: 0.99,
    late: 0.95,
  },
  {
    protocol: 'postgresql',
    groups: ['postgresql'],
    // Kept apart, not lost: of short captures the last exchange, which nothing confirms, and what stands beside a login.
    kept: 0.98,
    next: 0.99,
    late: 0.95,
  },
  {
    protocol: 'redis',
    groups: ['redis'],
    /** Typed commands alone are not known for Redis: where all answers are lost nothing is, not even what had none. */
    leftOutBefore: /reply-off-on|client-skip/,
    kept: 0.99,
    next: 0.99,
    late: 0.95,
  },
]

/** Bytes decoded for the joins of one stream. */
const JOIN_WORK_BYTES = 2 << 20
const NO_FAULTS = { invented: 0, mispaired: 0, overstated: 0 }

for (const each of TABLE) {
  const { protocol, groups, leftOut, leftOutLate, leftOutBefore } = each
  test(`${protocol} with one piece lost, and joined late`, { skip: NO_CORPUS }, async (t) => {
    const streams = (await corpusStreams(protocol, ...groups)).filter((stream) => leftOut?.(stream) !== true)
    assert.ok(streams.length >= 8)

    const lost = loseOnePiece(streams)
    t.diagnostic(`${protocol}, ${lost.figures}`)
    const text = `${lost.figures}\n${lost.examples.join('\n')}`
    assert.deepEqual(lost.faults, NO_FAULTS, text)
    assert.ok(lost.untouchedKept >= lost.untouched * each.kept, text)
    assert.ok(lost.nextDecoded >= lost.next * each.next, text)
    const before = streams.filter(({ name }) => leftOutBefore?.test(name) !== true)
    const changed = before.length === streams.length ? lost : loseOnePiece(before)
    assert.equal(changed.changedBefore, 0, changed.examples.join('\n'))

    const late = joinLate(
      streams.filter(({ name }) => leftOutLate?.test(name) !== true),
      JOIN_WORK_BYTES,
    )
    t.diagnostic(`${protocol}, ${late.figures}`)
    assert.deepEqual(late.faults, NO_FAULTS, late.examples.join('\n'))
    assert.ok(late.laterKept >= late.later * each.late, late.figures)
  })
}
