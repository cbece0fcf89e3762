/**
 * Captures to an archive, exported as pcapng, read by tshark: what it dissects there is what it dissects in the original,
 * value by value in order, no frame is malformed that was not before, and its exchanges are those of our flows.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { ArchiveSegmentLog } from '../../services/adapters/archive/segment_log.js'
import { ArchiveWriter } from '../../services/adapters/archive/writer.js'
import { PcapSource } from '../../services/adapters/pcap/source.js'
import { PcapngWriter } from '../../services/adapters/pcap/writer.js'
import type { Flow } from '../../services/core/flow.js'
import { SegmentBatchWriter } from '../../services/core/wire/segment_batch.js'
import { defaultPolicy, FlowPolicy } from '../../services/decode/policy.js'
import { PROTOCOLS } from '../../services/decode/protocols/registry.js'
import { SegmentExport } from '../../services/replay/export.js'
import { ALL_TIME_US, replayRequest } from '../../services/replay/request.js'
import { corpusFiles, NO_CORPUS } from './corpus.js'
import { decodeCapture } from './decode_capture.js'

const folder = mkdtempSync(join(tmpdir(), 'klartext-export-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const NO_TSHARK = spawnSync('tshark', ['--version']).status === 0 ? false : 'tshark is not installed'
const skip = NO_CORPUS || NO_TSHARK
/** Between values of one frame. */
const BETWEEN = '\u001f'

async function exported(capture: string): Promise<string> {
  const [archive, pcapng] = [join(folder, 'a.ktseg'), join(folder, 'b.pcapng')]
  const writer = new ArchiveWriter(archive)
  const batch = new SegmentBatchWriter({ cluster: '', node: '', bootId: '', capturerVersion: '1', sequence: 0 })
  try {
    for await (const segments of new PcapSource(capture).batches()) {
      for (const segment of segments) batch.add(segment)
      writer.append(batch.finish())
    }
  } catch (error) {
    if ((error as { code?: string }).code === undefined) throw error
  }
  writer.close()
  const log = new ArchiveSegmentLog(archive)
  const [fromUs, toUs] = ALL_TIME_US
  const request = replayRequest({ archive: log.path, fromUs, toUs })
  const policy = new FlowPolicy(defaultPolicy('metadata'))
  const segments = new SegmentExport({ log, request, protocols: PROTOCOLS, policy, pods: null })
  await segments.prepare()
  const packets = new PcapngWriter(pcapng, { about: 'x', aboutConnection: (info) => segments.about(info) })
  await segments.write(packets)
  packets.close()
  return pcapng
}

interface Dissected {
  /** Values of each field, in order, by conversation and direction. */
  readonly values: Map<string, string[]>
  readonly malformed: number
}

const ENDS = ['ip.src', 'ipv6.src', 'tcp.srcport', 'udp.srcport', 'ip.dst', 'ipv6.dst', 'tcp.dstport', 'udp.dstport']

function dissect(path: string, fields: readonly string[], more: readonly string[]): Dissected {
  const wanted = [...ENDS, '_ws.malformed', ...fields].flatMap((name) => ['-e', name])
  const words = ['-r', path, '-2', '-T', 'fields', '-E', `aggregator=${BETWEEN}`, ...more, ...wanted]
  const out = execFileSync('tshark', words, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    maxBuffer: 1 << 30,
  })
  const values = new Map<string, string[]>()
  let malformed = 0
  for (const line of out.split('\n')) {
    const cells = line.split('\t')
    if (cells.length < ENDS.length) continue
    if (cells[ENDS.length] !== '') malformed += 1
    const ends = cells
      .slice(0, ENDS.length)
      .map((cell) => cell.split(BETWEEN)[0])
      .join(' ')
    for (const [i, name] of fields.entries()) {
      const cell = cells[ENDS.length + 1 + i] ?? ''
      if (cell === '') continue
      const key = `${ends} ${name}`
      values.set(key, [...(values.get(key) ?? []), ...cell.split(BETWEEN)])
    }
  }
  return { values, malformed }
}

/** All values of a field, sorted: what tshark and we say of the same exchanges, in no particular order between conversations. */
function all({ values }: Dissected, field: string): string[] {
  return [...values]
    .filter(([key]) => key.endsWith(` ${field}`))
    .flatMap(([, found]) => found)
    .sort()
}

interface Case {
  readonly group: string
  readonly files: number
  readonly fields: readonly string[]
  /** What tshark names of an exchange, and what of our flows is the same; null where a flow has no such value. */
  readonly ours: readonly (readonly [field: string, value: (flow: Flow) => string | null])[]
  /** Each value once: the field is repeated where a statement or name is used again. */
  readonly once?: boolean
  /** Ours are among many others, in hex digits: each as often at least. */
  readonly within?: boolean
}

/**
 * Where the original is less than the export, or cannot be compared:
 * - transform-base64-7296: damaged on purpose; its packets jump in time and carry broken TCP headers;
 * - large-requests-responses, pubsub-resp3: tshark loses the rest of some replies where the original packets end, and finds
 *   it in the export;
 * - v6: tshark reads the messages that ICMP errors quote too.
 */
const NOT_COMPARED = /transform-base64-7296|large-requests-responses|pubsub-resp3|dns\/v6/
/**
 * Where tshark takes other bytes for an exchange than we do, in the original as in the export: methods that it does not know
 * (methods, http_09), responses that it does not show since the rest of their body is missing (exe_download,
 * http-gap-beyond-body), HTTP/2 that begins on a connection of HTTP/1 or is cut (deflate-case, errorcode, long-frame);
 * messages that are hostile (exhaustion, malformed_dns), attributes of RESP3 (attr), commands
 * without RESP around them (inline: client-skip-while-off, excessive-pipelining, reply-off-on).
 */
const NOT_OURS =
  /http1\/(methods|http_09)|http-response-line|exe_download|gap-beyond-body|http2-(long-frame|deflate-case|errorcode)|exhaustion|malformed_dns|redis\/(attr|client-skip|excessive|reply-off)/

const isOf = ({ protocol }: Flow, ...protocols: string[]) => protocols.includes(protocol)
const orNull = (value: string | number) => (value === '' || value === 0 ? null : String(value))

const CASES: readonly Case[] = [
  {
    group: 'http1',
    files: 10,
    fields: ['http.request.method', 'http.request.uri', 'http.response.code'],
    ours: [
      ['http.request.method', (flow) => (isOf(flow, 'http1') ? orNull(flow.method) : null)],
      ['http.response.code', (flow) => (isOf(flow, 'http1') ? orNull(flow.status_code) : null)],
    ],
  },
  {
    group: 'http2',
    files: 10,
    fields: ['http2.headers.method', 'http2.headers.path', 'http2.headers.status', 'http2.type'],
    ours: [['http2.headers.method', (flow) => (isOf(flow, 'http2', 'grpc') ? orNull(flow.method) : null)]],
  },
  {
    group: 'postgresql',
    files: 10,
    fields: ['pgsql.query', 'pgsql.tag', 'pgsql.type'],
    ours: [['pgsql.query', (flow) => (isOf(flow, 'postgresql') && SQL.test(flow.resource) ? flow.resource : null)]],
    once: true,
  },
  {
    group: 'redis',
    files: 10,
    fields: ['resp.bulk_string.value', 'resp.string', 'resp.error', 'resp.integer'],
    ours: [
      [
        'resp.bulk_string.value',
        (flow) => (isOf(flow, 'redis') && !flow.method.startsWith('PUSH') ? orNull(flow.method.split(' ')[0]) : null),
      ],
    ],
    within: true,
  },
  {
    group: 'dns',
    files: 12,
    fields: ['dns.id', 'dns.qry.name', 'dns.flags.rcode'],
    ours: [['dns.qry.name', (flow) => (isOf(flow, 'dns') ? orNull(flow.resource.toLowerCase()) : null)]],
    once: true,
  },
]

const SQL = /^(select|insert|update|delete|create|drop|set|show|begin|commit|rollback|copy|alter)\b/i

/** By definition of our adapters one peer has one address: a v4-mapped one is that of IPv4. */
function sameKeys(values: Map<string, string[]>): Map<string, string> {
  return new Map(
    [...values].map(([key, found]) => [key.replaceAll('::ffff:', '').replace(/\s+/g, ' '), found.join(BETWEEN)]),
  )
}

const normal = (values: readonly string[], once: boolean) => {
  // tshark writes line ends as two characters.
  const lower = values.map((value) =>
    once
      ? value
          .replace(/(\\n|\s)+/g, ' ')
          .replace(/<root>/i, '.')
          .trim()
          .toLowerCase()
      : value,
  )
  return (once ? [...new Set(lower)] : lower).sort()
}

/** What is not in the others, each of which counts once. */
function missing(texts: readonly string[], hex: readonly string[]): string[] {
  const counts = new Map<string, number>()
  for (const value of hex) {
    const text = Buffer.from(value, 'hex').toString('latin1').toUpperCase()
    counts.set(text, (counts.get(text) ?? 0) + 1)
  }
  return texts.filter((text) => {
    const left = counts.get(text.toUpperCase()) ?? 0
    counts.set(text.toUpperCase(), left - 1)
    return left <= 0
  })
}

for (const { group, files: count, fields, ours, once = false, within = false } of CASES) {
  test(`${group}: tshark sees in the export what it sees in the original, and what we see`, { skip }, async (t) => {
    const files = corpusFiles(group)
    let [values, captures, compared] = [0, 0, 0]
    for (let i = 0; i < Math.min(count, files.length); i++) {
      const file = files[Math.floor((i * files.length) / Math.min(count, files.length))]
      const { flows } = await decodeCapture(file.fullPath)
      // tshark tells these by their ports where those are not the usual ones.
      const ports = (name: string, ...protocols: string[]) =>
        [...new Set(flows.filter((flow) => isOf(flow, ...protocols)).map(({ server_port }) => server_port))].flatMap(
          (port) => ['-d', `tcp.port==${port},${name}`],
        )
      const words = [...ports('http2', 'http2', 'grpc'), ...ports('resp', 'redis')]
      const pcapng = await exported(file.fullPath)
      const [theirs, made] = [dissect(file.fullPath, fields, words), dissect(pcapng, fields, words)]
      assert.ok(
        made.malformed <= theirs.malformed,
        `${file.path}: ${made.malformed} malformed, ${theirs.malformed} before`,
      )
      captures += 1
      for (const found of made.values.values()) values += found.length
      if (!NOT_COMPARED.test(file.path)) assert.deepEqual(sameKeys(made.values), sameKeys(theirs.values), file.path)
      if (NOT_OURS.test(file.path)) continue
      for (const [field, value] of ours) {
        const mine = flows.map(value).filter((each) => each !== null)
        compared += mine.length
        if (within) {
          assert.deepEqual(missing(mine, all(made, field)), [], `${file.path} ${field}`)
          continue
        }
        const [one, two] = [normal(mine, once), normal(all(made, field), once)]
        assert.deepEqual(two, one, `${file.path} ${field}`)
      }
    }
    t.diagnostic(`${captures} captures, ${values} values of tshark equal, ${compared} of our flows`)
    assert.ok(values > 20)
  })
}
