/** DNS of real captures against what tshark says of every message. */
import assert from 'node:assert/strict'
import { basename } from 'node:path'
import { test } from 'node:test'
import type { Flow } from '../../services/core/flow.js'
import { typeName } from '../../services/decode/protocols/dns/names.js'
import { corpusFiles, NO_CORPUS } from './corpus.js'
import { decodeCapture } from './decode_capture.js'
import { type Frame, tsharkFrames } from './expected.js'

const skip = NO_CORPUS

/**
 * Where the oracle and we differ by definition:
 * - conn-count-too-large, max-compression-depth: built to break readers, one datagram each that is no whole message; nothing
 *   says that such a connection is DNS;
 * - dns-invalid-names: a name whose pointer loops is refused, with the datagram; tshark shows a message in its place;
 * - malformed_dns: the owner names of its answers are longer than 255 bytes, where we stop and note `dns.malformed`;
 * - dns-udp-request-with-answer: a query with an answer in it; the flow has the answers of its response;
 * - dns-tcp-ts-gap: tshark does not reassemble the query behind the gap;
 * - v6, frame 137: a response inside an ICMP error;
 * - proto255: not UDP.
 */
const BROKEN_ON_PURPOSE = /conn-count-too-large|max-compression-depth|dns-invalid-names|proto255/
const VALUES_DIFFER = /malformed_dns|dns-udp-request-with-answer/
const MORE_THAN_TSHARK = /dns-tcp-ts-gap/

const VALUES = [
  'dns.a',
  'dns.aaaa',
  'dns.cname',
  'dns.ns',
  'dns.ptr.domain_name',
  'dns.mx.mail_exchange',
  'dns.soa.mname',
  'dns.srv.target',
  'dns.txt',
  'dns.svcb.targetname',
]

/** tshark shows the root as `<Root>`. */
const shown = (name: string): string => (name === '<Root>' ? '.' : name)

function messageOf(id: number, type: string, name: string): string {
  return `${id} ${type} ${shown(name)}`
}

/** Queries and responses of a frame; a TCP frame may hold several. */
function messages(frame: Frame): { query: string; rcode: number | null }[] {
  const ids = frame['dns.id'] ?? []
  const rcodes = [...(frame['dns.flags.rcode'] ?? [])]
  const responses = frame['dns.flags.response'] ?? []
  const names = frame['dns.qry.name'] ?? []
  const types = frame['dns.qry.type'] ?? []
  return ids.map((id, i) => {
    const rcode = responses[i] === '1' ? Number(rcodes.shift() ?? 0) : null
    const query = messageOf(Number(id), typeName(Number(types[i] ?? 0)), names[i] ?? '')
    return { query, rcode }
  })
}

const textOf = (flow: Flow): string =>
  ['dns.answers', 'dns.authorities', 'dns.additionals', 'dns.texts'].map((name) => flow.attrs[name] ?? '').join(' ')

function take(from: string[], what: string): boolean {
  const at = from.indexOf(what)
  if (at >= 0) from.splice(at, 1)
  return at >= 0
}

test('tshark: every name, type, rcode and answer, and no other message', { skip }, async (t) => {
  const counts = { messages: 0, found: 0, values: 0, valuesFound: 0, extra: 0 }
  for (const file of corpusFiles('dns')) {
    const frames = tsharkFrames(file.fullPath)
    if (frames.length === 0 || BROKEN_ON_PURPOSE.test(file.path)) continue
    const flows = (await decodeCapture(file.fullPath)).flows.filter((flow) => flow.protocol === 'dns')
    const named = (flow: Flow) => messageOf(Number(flow.attrs['dns.id']), flow.method, flow.resource)
    const queries = flows.filter((flow) => flow.req_bytes > 0).map(named)
    const responses = flows
      .filter((flow) => flow.resp_bytes > 0)
      .map((flow) => `${named(flow)} ${flow.status_code & 15}`)
    for (const frame of frames) {
      if (file.path.endsWith('v6.pcap') && String(frame.n) === '137') continue
      if (frame['dns.qry.name'] === undefined && frame['dns.resp.name'] === undefined) continue
      for (const { query, rcode } of messages(frame)) {
        if (frame['dns.qry.name'] === undefined) {
          // An announcement of mDNS: named after its first answer.
          const announced = responses.findIndex((each) => each.startsWith(`${query.split(' ')[0]} `))
          if (announced >= 0) responses.splice(announced, 1)
          continue
        }
        counts.messages += 1
        if (rcode === null ? take(queries, query) : take(responses, `${query} ${rcode}`)) counts.found += 1
        else t.diagnostic(`missing ${file.path}: ${query} ${rcode}`)
      }
      const text = flows
        .filter((flow) => frame['dns.id']?.some((id) => Number(id) === Number(flow.attrs['dns.id'])))
        .map(textOf)
        .join(' ')
      for (const value of VALUES_DIFFER.test(file.path) ? [] : VALUES.flatMap((name) => frame[name] ?? [])) {
        counts.values += 1
        if (text.includes(shown(value))) counts.valuesFound += 1
        else t.diagnostic(`missing value ${file.path}: ${value.slice(0, 80)}`)
      }
    }
    const left = [...queries, ...responses].filter((each) => !/ $/.test(each))
    if (MORE_THAN_TSHARK.test(file.path)) continue
    counts.extra += left.length
    if (left.length > 0) t.diagnostic(`extra ${file.path}: ${left.slice(0, 4)}`)
  }
  t.diagnostic(JSON.stringify(counts))
  assert.ok(counts.messages > 1100)
  assert.equal(counts.found, counts.messages)
  assert.equal(counts.valuesFound, counts.values)
  assert.equal(counts.extra, 0)
})

/** Lookups beside other traffic, and captures filed as LLMNR: these do hold DNS. */
const HOLDS_DNS = new Set([
  'curl-enabled-tls13.pcap',
  'avast_securedns.pcapng',
  'netease_games.pcapng',
  'conncheck.pcap',
  'ocs.pcap',
  'punycode-idn.pcap',
  'llmnr__llmnr-authority-additional.pcap',
  'llmnr__llmnr-tcp-reassembly.pcap',
  'http-protocol-inspect-v2__http.pcap',
  'tls__tls13-draft18__tls13_draft18.pcap',
  'modbus__modbusSmall.pcap',
  'ntp__NTP_sync.pcap',
  'smb__smb_v2_only_non_zero_reserved1.pcap',
  'wikipedia.pcap',
])

test('traffic that is not DNS is never called DNS', { skip }, async (t) => {
  let claims = 0
  for (const file of corpusFiles(
    'detect-negative',
    'http1',
    'http1-evader',
    'redis',
    'tls',
    'postgresql',
    'mysql',
    'http2',
  )) {
    if (HOLDS_DNS.has(basename(file.path))) continue
    const { connections, flows } = await decodeCapture(file.fullPath)
    const claimed = connections.filter((row) => row.protocol === 'dns')
    if (claimed.length === 0) continue
    claims += claimed.length
    const seen = flows.filter((flow) => flow.protocol === 'dns').slice(0, 3)
    t.diagnostic(
      `claimed ${file.path}: ${claimed.length} ${claimed[0].transport} ${claimed[0].client_port} ${claimed[0].server_port} ` +
        `${seen.map((flow) => `${flow.method} ${flow.resource} ${flow.findings}`)}`.slice(0, 200),
    )
  }
  t.diagnostic(`${claims} claims`)
  assert.equal(claims, 0)
})
