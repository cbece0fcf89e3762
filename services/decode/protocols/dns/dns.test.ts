/** What goldens cannot play: questions that are the same each time, so that nothing tells which of them an answer means. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cursor } from '../../../core/cursor.js'
import type { Exchange } from '../../../core/exchange.js'
import { TO_CLIENT, TO_SERVER } from '../../../core/segment.js'
import { dns } from './dns.js'
import { PENDING_MAX } from './pairing.js'

function message(id: number, response: boolean, name = 'a.example.com'): Buffer {
  const labels = name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]))
  const header = Buffer.alloc(12)
  header.writeUInt16BE(id, 0)
  header.writeUInt16BE(response ? 0x8180 : 0x0100, 2)
  header.writeUInt16BE(1, 4)
  return Buffer.concat([header, ...labels, Buffer.from([0, 0, 1, 0, 1])])
}

function decode(...said: readonly (readonly [number, boolean, number])[]): Exchange[] {
  const exchanges: Exchange[] = []
  const decoder = dns.open({ exchange: (each) => exchanges.push(each) }, { transport: 'udp', handover: null })
  for (const [id, response, timeUs] of said) {
    const cursor = Cursor.over(message(id, response), timeUs)
    cursor.ended = true
    decoder.parse(response ? TO_CLIENT : TO_SERVER, cursor)
  }
  decoder.close('closed', 0)
  return exchanges
}

test('a query that is sent again is a flow of its own; the older has the answer', () => {
  const [first, second] = decode([1, false, 1000], [1, false, 2000], [1, true, 3000])
  assert.equal(first.reqStartUs, 1000)
  assert.equal(first.respStartUs, 3000)
  assert.equal(second.reqStartUs, 2000)
  assert.equal(second.respStartUs, 0)
  assert.equal(second.outcome, 'no_response')
  assert.equal(second.attrs?.['dns.retry'], '1')
})

test('the second answer to one query stands alone', () => {
  const [pair, alone, ...rest] = decode([1, false, 1000], [1, true, 2000], [1, true, 3000])
  assert.equal(pair.respStartUs, 2000)
  assert.deepEqual(alone.anomalies, ['dns.response_without_query'])
  assert.equal(alone.resource, 'a.example.com')
  assert.equal(rest.length, 0)
})

test('a later message shows that an old query is not answered any more', () => {
  const exchanges = decode([1, false, 1000], [2, false, 20_000_000], [1, true, 20_001_000], [2, true, 20_002_000])
  assert.deepEqual(
    exchanges.map(({ outcome, reqStartUs, respStartUs }) => [outcome, reqStartUs, respStartUs]),
    [
      ['no_response', 1000, 0],
      ['ok', 20_000_000, 20_002_000],
      ['ok', 0, 20_001_000],
    ],
  )
})

test('open queries are bounded', () => {
  const said = Array.from({ length: PENDING_MAX + 10 }, (_, i) => [i, false, 1000 + i] as const)
  const exchanges = decode(...said)
  assert.equal(exchanges.length, PENDING_MAX + 10)
  assert.equal(exchanges.filter(({ outcome }) => outcome === 'unknown').length, 10)
})

test('a response captured a moment before its query is its response, one long before it is not', () => {
  const [pair, ...rest] = decode([1, true, 990], [1, false, 1000])
  assert.deepEqual([pair.reqStartUs, pair.respStartUs, pair.complete, rest.length], [1000, 990, true, 0])
  assert.equal(decode([1, true, 1000], [1, false, 1_000_000]).length, 2)
})
