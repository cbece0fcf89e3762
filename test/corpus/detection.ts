/**
 * Which protocol is recognised, over all captures, with ports hidden: each connection from its beginning, and each joined in
 * its middle. What a connection really speaks is what tshark says of it (files beside the captures), not where it is filed.
 */
import { existsSync, readFileSync } from 'node:fs'
import { ConnectionInfo, Segment, SegmentFlag } from '../../services/core/segment.js'
import { spanUs } from '../../services/decode/golden/fault.js'
import { type Observed, observe } from '../../services/decode/golden/observe.js'
import { atTimesApart, joinedAt } from '../../services/decode/golden/segments.js'
import { PROTOCOLS } from '../../services/decode/protocols/registry.js'
import { connectionsOf } from './connections.js'
import { type CorpusFile, corpusFiles, corpusGroups } from './corpus.js'

export const NOTHING = 'nothing'
/** Row of connections that hold nothing that tshark calls a protocol of ours. */
export const OTHER = 'other'

export interface Confusion {
  readonly from: 'beginning' | 'middle'
  /** By truth, then by what was recognised. */
  readonly counts: Map<string, Map<string, number>>
  /** Capture and connection of each claim that is wrong. */
  readonly wrong: string[]
}

/** Names in tshark's `frame.protocols`, most telling first. */
const TSHARK_NAMES: readonly (readonly [string, string])[] = [
  ['websocket', 'websocket'],
  ['grpc', 'http2'],
  ['http2', 'http2'],
  ['tls', 'tls'],
  ['dns', 'dns'],
  ['mdns', 'dns'],
  ['llmnr', 'dns'],
  ['pgsql', 'postgresql'],
  ['resp', 'redis'],
  ['http', 'http1'],
]
/** Groups that are named otherwise than the protocol in them. */
const GROUPS: Readonly<Record<string, string>> = { 'http1-evader': 'http1', grpc: 'http2' }
/**
 * Filed as other things, these hold real HTTP/1 messages in some connections, which tshark's summary does not tell; the last
 * asks for HTTP/2 and is answered in HTTP/1.
 */
const HOLDS_HTTP =
  /(soap|xiaomi|no_referer|output-eve-anomaly-02|detect-uricontent-07|ipv6-http-atomic-frag|protocol-change-failed-event|transform-base64-7296)\.pcap #/
/** LLMNR over TCP, which tshark does not look for. */
const HOLDS_DNS = /llmnr-tcp-reassembly\.pcap #/
const STREAM_BYTES_MAX = 1 << 20

export async function confusions(): Promise<Confusion[]> {
  const begun: Confusion = { from: 'beginning', counts: new Map(), wrong: [] }
  const joined: Confusion = { from: 'middle', counts: new Map(), wrong: [] }
  for (const file of corpusFiles(...corpusGroups())) {
    const truths = truthsOf(file)
    for (const [i, segments] of (await connectionsOf(file.fullPath)).entries()) {
      const bytes = segments.reduce((sum, segment) => sum + segment.payload.length, 0)
      if (bytes === 0 || bytes > STREAM_BYTES_MAX) continue
      const known = truths.get(endsOf(segments[0].connection))
      // Not in the list: tshark did not understand it either.
      const truth = known ?? (file.group === 'detect-negative' ? OTHER : '')
      if (truth === '') continue
      const name = `${file.path} #${i}`
      const apart = hidden(atTimesApart(segments))
      const whole = observe(apart, PROTOCOLS)
      count(begun, truth, apart, whole, name)
      const middle = middleOf(apart)
      if (middle === 0 || !goesOn(truth, whole, apart[middle].timeUs)) continue
      const rest = joinedAt(apart, middle, 0)
      count(joined, truth, rest, observe(rest, PROTOCOLS), name)
    }
  }
  return [begun, joined]
}

/** There is something to recognise: a message of ours begins later. What is none of ours must not be taken for it at any time. */
function goesOn(truth: string, whole: Observed, joinUs: number): boolean {
  const ours = truth !== 'tls' && PROTOCOLS.some((protocol) => protocol.name === truth)
  return !ours || whole.exchanges.some((exchange) => spanUs(exchange).first >= joinUs)
}

const endsOf = ({ clientIp, clientPort, serverIp, serverPort }: ConnectionInfo): string =>
  [`${clientIp}:${clientPort}`, `${serverIp}:${serverPort}`].sort().join(' ')

function truthsOf({ fullPath, group }: CorpusFile): Map<string, string> {
  const truths = new Map<string, string>()
  const path = `${fullPath}.tshark.jsonl`
  if (!existsSync(path)) return truths
  for (const line of readFileSync(path, 'utf8').split('\n').filter(Boolean)) {
    const row = JSON.parse(line) as { src?: string; dst?: string; kind?: string; protocols?: Record<string, number> }
    if (row.src === undefined || row.dst === undefined) continue
    const ends = [row.src, row.dst].sort().join(' ')
    if (row.kind === undefined) truths.set(ends, GROUPS[group] ?? group)
    else truths.set(ends, summaryTruth(Object.keys(row.protocols ?? {})))
  }
  return truths
}

/** An inner protocol counts only where nothing carries it that we do not undo. */
function summaryTruth(stacks: readonly string[]): string {
  const names = new Set(stacks.flatMap((stack) => stack.split(':')))
  if (names.has('socks')) return OTHER
  return TSHARK_NAMES.find(([theirs]) => names.has(theirs))?.[1] ?? OTHER
}

/** Nobody can tell by the ports which protocol it is or who the client is. */
function hidden(segments: readonly Segment[]): Segment[] {
  const { id, transport, clientIp, serverIp } = segments[0].connection
  const info = Object.assign(new ConnectionInfo(id), { transport, clientIp, serverIp })
  return segments.map(({ direction, position, length, payload, timeUs, timeRestNs, flags }) => {
    const guessed = flags | ((flags & SegmentFlag.MIDSTREAM) !== 0 ? SegmentFlag.ROLE_GUESSED : 0)
    return new Segment(info, direction, position, length, payload, timeUs, timeRestNs, guessed)
  })
}

/** Index of the first segment with payload behind half of the bytes; 0 = there is none. */
function middleOf(segments: readonly Segment[]): number {
  const half = segments.reduce((sum, segment) => sum + segment.payload.length, 0) / 2
  let seen = 0
  for (const [i, { payload }] of segments.entries()) {
    if (seen >= half && payload.length > 0) return i
    seen += payload.length
  }
  return 0
}

function recognised({ connections, exchanges }: Observed): string {
  const row = connections.find(({ protocol }) => protocol !== '') ?? connections[0]
  if (row === undefined) return NOTHING
  if (row.undecoded_reason === 'encrypted') return 'tls'
  // A claim is what reaches a row: a decoder that withdrew without a flow claimed nothing.
  return row.protocol !== '' && exchanges.length > 0 ? row.protocol : NOTHING
}

function count(
  { counts, wrong }: Confusion,
  filedAs: string,
  segments: readonly Segment[],
  observed: Observed,
  name: string,
): void {
  const seen = recognised(observed)
  // After STARTTLS and its like both are true.
  const toTls = seen === 'tls' && segments.some(({ payload }) => isTlsRecord(payload))
  const other = (seen === 'http1' && HOLDS_HTTP.test(name)) || (seen === 'dns' && HOLDS_DNS.test(name))
  const truth = toTls ? 'tls' : other ? seen : filedAs
  const row = counts.get(truth) ?? new Map<string, number>()
  counts.set(truth, row)
  row.set(seen, (row.get(seen) ?? 0) + 1)
  const upgraded = seen === 'http1' && observed.exchanges.some(({ statusCode }) => statusCode === 101)
  if (seen !== NOTHING && seen !== truth && !upgraded) wrong.push(`${name}: ${truth} taken for ${seen}`)
}

/** RFC 8446 section 5.1: content type, version 3.x. */
function isTlsRecord(payload: Buffer): boolean {
  return payload.length > 5 && payload[0] >= 0x14 && payload[0] <= 0x17 && payload[1] === 3 && payload[2] <= 4
}

/** As a Markdown table: what is spoken down, what was recognised across. */
export function table({ from, counts }: Confusion): string {
  const names = [...new Set([...PROTOCOLS.map((protocol) => protocol.name), 'tls'])].sort()
  const ours = names.filter((name) => counts.has(name))
  const others = [...counts.keys()].filter((name) => !names.includes(name)).sort()
  const columns = [...names, NOTHING]
  const lines = [
    `| joined at its ${from} | ${columns.join(' | ')} |`,
    `| --- |${columns.map(() => ' ---: |').join('')}`,
    ...[...ours, ...others].map((truth) => {
      const row = counts.get(truth)
      return `| ${truth} | ${columns.map((column) => row?.get(column) ?? '').join(' | ')} |`
    }),
  ]
  return lines.join('\n')
}

export function totals({ counts, wrong }: Confusion): { streams: number; ours: number; right: number; wrong: number } {
  let streams = 0
  let ours = 0
  let right = 0
  const names = new Set([...PROTOCOLS.map((protocol) => protocol.name), 'tls'])
  for (const [truth, row] of counts) {
    const all = [...row.values()].reduce((sum, each) => sum + each, 0)
    streams += all
    if (!names.has(truth)) continue
    ours += all
    right += row.get(truth) ?? 0
  }
  return { streams, ours, right, wrong: wrong.length }
}
