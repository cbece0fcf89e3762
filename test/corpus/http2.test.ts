/** HTTP/2 and gRPC captures against what tshark, Suricata and DeepFlow read in them: every exchange, paired, and none besides. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { test } from 'node:test'
import type { Flow } from '../../services/core/flow.js'
import { corpusFiles, NO_CORPUS } from './corpus.js'
import { decodeCapture } from './decode_capture.js'
import { beside, clientOf, type Frame, suricataMatches, tsharkFrames } from './expected.js'

/** Captures whose expectation is not what traffic means, with what tshark lacks: flows as below. */
const DIFFERS: Readonly<Record<string, readonly string[]>> = {
  // Stream 1 was asked for in HTTP/1.1, with an upgrade: tshark has its answer, and no header fields of it.
  'http2-deflate-case.pcap': ['127.0.0.1:64417 1 GET / 200 -'],
  // One of its two connections is a tunnel opened by CONNECT: tshark does not look inside; the same call is there.
  'http2-errorcode.pcap': ['127.0.0.1:63577 1 POST /helloworld.GreeterService/SayHello 200 0'],
  // Three requests of HTTP/1.1 that ask for HTTP/2 in garbled ways, the answers of HTTP/1.1: there is no stream at all.
  'transform-base64-7296.pcap': [],
}

const HEADERS = '1'

/** `client stream method path status grpc-status` of each stream that tshark has header fields of. */
function expected(frames: readonly Frame[]): string[] {
  const streams = new Map<string, Map<string, string>>()
  for (const frame of frames) {
    const ids = (frame['http2.streamid'] ?? []).filter((_, i) => frame['http2.type']?.[i] === HEADERS)
    for (const [i, block] of blocks(frame).entries()) {
      const [client, server] = block.has(':method') ? [frame.src, frame.dst] : [frame.dst, frame.src]
      const key = `${client} ${server} ${ids[i]}`
      const known = streams.get(key) ?? new Map<string, string>()
      if (!/^1/.test(block.get(':status') ?? '')) for (const [name, value] of block) known.set(name, value)
      streams.set(key, known)
    }
  }
  return [...streams].map(([key, fields]) => {
    const [client, , stream] = key.split(' ')
    const texts = [':method', ':path', ':status', 'grpc-status'].map((name) => fields.get(name) ?? '-')
    return [client, stream, ...texts].join(' ')
  })
}

/** Header blocks of a packet: a new one begins where a pseudo-header field comes again, or behind others. */
function blocks(frame: Frame): Map<string, string>[] {
  const all: Map<string, string>[] = []
  const lengths = (frame['http2.type'] ?? []).filter((type) => type === HEADERS).length
  let block = new Map<string, string>()
  for (const [i, name] of (frame['http2.header.name'] ?? []).entries()) {
    const begins = name.startsWith(':') && (block.has(name) || [...block.keys()].some((each) => !each.startsWith(':')))
    const trailers = name === 'grpc-status' && block.has(':status') && all.length + 1 < lengths
    if (begins || trailers) {
      all.push(block)
      block = new Map()
    }
    block.set(name, frame['http2.header.value']?.[i] ?? '')
  }
  return block.size > 0 ? [...all, block] : all
}

const ours = (flows: readonly Flow[]) => flows.filter(({ protocol }) => protocol === 'http2' || protocol === 'grpc')

function line(flow: Flow): string {
  const { protocol, method, resource, status_code, attrs } = flow
  const http = protocol === 'grpc' ? (attrs['http.response.status_code'] ?? '-') : String(status_code || '-')
  const grpc = attrs['rpc.grpc.status_code'] ?? '-'
  return [clientOf(flow), attrs['http2.stream_id'], method || '-', resource || '-', http, grpc].join(' ')
}

test('every stream tshark finds, request with answer, and no other', { skip: NO_CORPUS }, async (t) => {
  let [captures, streams] = [0, 0]
  for (const { fullPath, path } of corpusFiles('http2', 'grpc')) {
    const differs = DIFFERS[basename(path)]
    const want = expected(tsharkFrames(fullPath)).filter((each) => differs === undefined || !/ 1 - - 200 /.test(each))
    const have = ours((await decodeCapture(fullPath)).flows).map(line)
    assert.deepEqual(have.sort(), [...want, ...(differs ?? [])].sort(), path)
    captures += 1
    streams += have.length
  }
  assert.ok(captures >= 12)
  t.diagnostic(`HTTP/2: ${captures} captures, ${streams} streams, all found, none invented`)
})

test('what Suricata says of streams', { skip: NO_CORPUS }, async (t) => {
  let checks = 0
  for (const { fullPath, path } of corpusFiles('http2')) {
    const flows = ours((await decodeCapture(fullPath)).flows)
    for (const { fields } of suricataMatches(fullPath)) {
      // Stream 0 is the connection: its settings are no exchange.
      if (fields.event_type !== 'http' || fields['http.url'] === undefined) continue
      const flow = flows.find(({ resource }) => resource === fields['http.url'])
      assert.ok(flow, `${path}: ${fields['http.url']}`)
      const seen: Record<string, string> = {
        'http.status': String(flow.status_code),
        'http.http_method': flow.method,
        'http.length': String(flow.resp_bytes),
        'http.http_user_agent': flow.user_agent,
        'http.version': flow.l7_version,
        'http.http2.stream_id': flow.attrs['http2.stream_id'],
      }
      for (const [name, value] of Object.entries(fields)) {
        if (seen[name] === undefined) continue
        assert.equal(seen[name], value, `${path}: ${fields['http.url']} ${name}`)
        checks += 1
      }
    }
  }
  assert.ok(checks >= 6)
  t.diagnostic(`${checks} values of Suricata's, all equal`)
})

test('what DeepFlow says of calls', { skip: NO_CORPUS }, async () => {
  for (const { fullPath, path } of corpusFiles('grpc')) {
    const flows = ours((await decodeCapture(fullPath)).flows)
    const said = beside(fullPath, /\.deepflow\.result$/).map((file) => readFileSync(file, 'utf8'))
    const requests = [
      ...said.join('').matchAll(/msg_type: Request, stream_id: Some\((\d+)\).*? path: "([^"]+)", host: "([^"]+)"/g),
    ]
    const answers = [
      ...said.join('').matchAll(/msg_type: Response, stream_id: Some\((\d+)\).*?grpc_status_code: Some\((\d+)\)/g),
    ]
    assert.equal(flows.length, requests.length, path)
    for (const [i, [, stream, resource, host]] of requests.entries()) {
      assert.deepEqual([flows[i].attrs['http2.stream_id'], flows[i].resource, flows[i].host], [stream, resource, host])
      const status = answers.find(([, each]) => each === stream)?.[2]
      assert.equal(flows[i].attrs['rpc.grpc.status_code'], status, path)
    }
  }
})
