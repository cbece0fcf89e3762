/** HTTP/2 and gRPC captures against what tshark reads in them: every request and every status, and none besides. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import type { Flow } from '../../services/core/flow.js'
import { corpusFiles, NO_CORPUS } from './corpus.js'
import { corpusStreams, joinLate, loseOnePiece } from './damage.js'
import { decodeCapture } from './decode_capture.js'

interface Row {
  readonly 'http2.header.name'?: readonly string[]
  readonly 'http2.header.value'?: readonly string[]
}

interface Heads {
  readonly requests: string[]
  readonly statuses: string[]
}

/** Why a capture's expectation is not what traffic means. */
const DIFFERS: Readonly<Record<string, string>> = {
  'suricata-verify/http2/http2-deflate-case.pcap':
    'stream 1 was asked for in HTTP/1.1, with an upgrade: tshark has no header fields of it, we have its request',
  'suricata-verify/http2/http2-errorcode.pcap':
    'one of its two connections is a tunnel opened by CONNECT: tshark does not look inside, we find the same call there',
}

/** Blocks begin where a pseudo-header comes again. */
function expected(rows: readonly Row[]): Heads {
  const heads: Heads = { requests: [], statuses: [] }
  for (const row of rows) {
    const names = row['http2.header.name'] ?? []
    const values = row['http2.header.value'] ?? []
    let block = new Map<string, string>()
    const close = () => {
      if (block.has(':method')) heads.requests.push(`${block.get(':method')} ${block.get(':path') ?? ''}`)
      const status = block.get(':status')
      if (status !== undefined && !/^1/.test(status)) heads.statuses.push(status)
      block = new Map()
    }
    for (const [i, name] of names.entries()) {
      if (name.startsWith(':') && (block.has(name) || [...block.keys()].some((each) => !each.startsWith(':')))) close()
      block.set(name, values[i])
    }
    close()
  }
  return { requests: heads.requests.sort(), statuses: heads.statuses.sort() }
}

function seen(flows: readonly Flow[]): Heads {
  const ours = flows.filter(({ protocol }) => protocol === 'http2' || protocol === 'grpc')
  const requests = ours.filter(({ method }) => method !== '').map(({ method, resource }) => `${method} ${resource}`)
  const statuses = ours
    .map(({ protocol, status_code, attrs }) =>
      protocol === 'grpc' ? (attrs['http.response.status_code'] ?? '0') : String(status_code),
    )
    .filter((status) => status !== '0')
  return { requests: requests.sort(), statuses: statuses.sort() }
}

test('every request and status tshark finds, and no other', { skip: NO_CORPUS }, async (t) => {
  let [captures, requests, statuses] = [0, 0, 0]
  for (const file of corpusFiles('http2', 'grpc')) {
    const judge = `${file.fullPath}.tshark.jsonl`
    if (!existsSync(judge) || file.path in DIFFERS) continue
    const rows = readFileSync(judge, 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Row)
    const want = expected(rows)
    const have = seen((await decodeCapture(file.fullPath)).flows)
    assert.deepEqual(have, want, file.path)
    captures += 1
    requests += want.requests.length
    statuses += want.statuses.length
  }
  assert.ok(captures >= 10)
  t.diagnostic(`${captures} captures: ${requests} requests, ${statuses} statuses, all found, none invented`)
})

test('one piece lost, or joined late: nothing wrong', { skip: NO_CORPUS }, async (t) => {
  const streams = await corpusStreams('http2', 'http2', 'grpc')
  const lost = loseOnePiece(streams)
  t.diagnostic(lost.figures)
  assert.deepEqual(lost.faults, { invented: 0, mispaired: 0, overstated: 0 }, lost.examples.join('\n'))
  assert.equal(lost.changedBefore, 0, lost.examples.join('\n'))
  const late = joinLate(streams)
  t.diagnostic(late.figures)
  assert.deepEqual(late.faults, { invented: 0, mispaired: 0, overstated: 0 }, late.examples.join('\n'))
})
