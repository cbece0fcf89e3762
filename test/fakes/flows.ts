/** Flows made from a seed: as varied as traffic is where columns are compressed, decoded and compared. */
import { DECODER_VERSION, FLOW_COLUMNS, type Flow, SCHEMA_VERSION } from '../../services/core/flow.js'
import type { Random } from '../../services/core/random.js'

const HEX = '0123456789abcdef'
const PATHS = ['items', 'users', 'orders', 'carts', 'search', 'login', 'health', 'invoices']
const METHODS = ['GET', 'GET', 'GET', 'POST', 'PUT', 'DELETE']

const hex = (random: Random, digits: number): string => {
  let text = ''
  for (let i = 0; i < digits; i++) text += HEX[random.below(16)]
  return text
}

/** `seq` numbers the flows; 12 of them share a connection, 40 services talk to each other. */
export function seededFlow(random: Random, seq: number, startUs: number): Flow {
  const connection = Math.floor(seq / 12)
  const [from, to] = [(connection * 7) % 40, (connection * 13) % 40]
  const path = random.pick(PATHS)
  const failed = random.chance(0.02)
  const latency = Math.floor(200 * Math.exp(random.next() * 4))
  const traced = random.chance(0.25)
  return {
    ts: startUs + seq * 40 + random.below(40),
    latency_us: latency,
    ttfb_us: Math.floor(latency * 0.8),
    cluster: 'lab',
    node: `node-${to % 6}`,
    capture_side: 'server',
    capture_source: 'openssl',
    conn_id: ((BigInt(connection) * 0x9e3779b97f4a7c15n) & 0xffffffffffffffffn).toString(),
    exchange_seq: seq % 12,
    client_ip: `10.0.${from}.${connection % 250}`,
    client_port: 1024 + ((connection * 7919) % 60_000),
    server_ip: `10.1.${to}.1`,
    server_port: 8443,
    transport: 'tcp',
    client_kind: 'pod',
    client_cluster: 'lab',
    client_ns: `ns-${from % 8}`,
    client_workload: `svc-${from}`,
    client_pod: `svc-${from}-7d9f-${connection % 3}`,
    client_container: 'app',
    client_node: `node-${from % 6}`,
    client_zone: 'a',
    client_service: '',
    client_sa: `svc-${from}`,
    server_kind: 'pod',
    server_cluster: 'lab',
    server_ns: `ns-${to % 8}`,
    server_workload: `svc-${to}`,
    server_pod: `svc-${to}-5c8b-${connection % 2}`,
    server_container: 'app',
    server_node: `node-${to % 6}`,
    server_zone: 'a',
    server_service: `svc-${to}`,
    server_sa: `svc-${to}`,
    protocol: 'http1',
    l7_version: '1.1',
    method: random.pick(METHODS),
    host: `svc-${to}.ns-${to % 8}.svc`,
    endpoint: `/api/${path}/{id}`,
    resource: `/api/${path}/${random.below(1_000_000)}`,
    status_code: failed ? 500 : random.chance(0.05) ? 404 : 200,
    outcome: failed ? 'server_error' : 'ok',
    error: '',
    user_agent: `client/${from % 3}`,
    content_type: 'application/json',
    req_bytes: random.below(400),
    resp_bytes: Math.floor(100 * Math.exp(random.next() * 5)),
    trace_id: traced ? hex(random, 32) : '',
    span_id: traced ? hex(random, 16) : '',
    request_id: '',
    principal: '',
    tls_version: '1.3',
    sni: '',
    findings: [],
    pii: [],
    redactions: [],
    complete: 1,
    gaps: 0,
    truncated: 0,
    decoder_version: DECODER_VERSION,
    schema_version: SCHEMA_VERSION,
    attrs: {},
    req_headers: [],
    resp_headers: [],
    pid: 1000 + to,
    comm: `svc-${to}`,
    seg_partition: 0,
    seg_first: 0,
    seg_last: 0,
    in_partition: 0,
    batch_first: 0,
    client_region: 'eu',
    server_region: 'eu',
    scope: from % 6 === to % 6 ? 'same_node' : 'same_zone',
  }
}

/** A flow with a different value in every column, at the ends of what a column may hold. */
export function anyFlow(random: Random): Flow {
  const text = () => random.pick(['', 'a', 'grüße 世界', '\u0000"\\', 'x'.repeat(random.below(3_000))])
  const value = {
    time: () => 1_700_000_000_000_000 + random.below(2 ** 40),
    text,
    ip: () => random.pick(['', '10.0.0.1', '2001:db8::1']),
    u8: () => random.below(256),
    u16: () => random.below(65_536),
    u32: () => random.below(2 ** 32),
    u64: () => random.pick([0, Number.MAX_SAFE_INTEGER - 1, random.below(2 ** 48)]),
    f64: () => random.next(),
    id: () => random.pick(['0', '18446744073709551615', '9223372036854775808']),
    texts: () => Array.from({ length: random.below(4) }, text),
    pairs: () => Array.from({ length: random.below(4) }, (_, i) => [`k${i}`, text()]).flat(),
    map: () => Object.fromEntries(Array.from({ length: random.below(4) }, (_, i) => [`k${i}`, text()])),
  }
  return Object.fromEntries(FLOW_COLUMNS.map(({ name, kind }) => [name, value[kind]()])) as unknown as Flow
}
