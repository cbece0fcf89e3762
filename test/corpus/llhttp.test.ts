/** What llhttp accepts we decode into the same messages, at the same bytes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConnectionInfo, Segment, TO_CLIENT, TO_SERVER } from '../../services/core/segment.js'
import { observe } from '../../services/decode/golden/observe.js'
import { http1 } from '../../services/decode/protocols/http1/http1.js'
import { NO_CORPUS } from './corpus.js'
import { type Block, type Message, strictBlocks } from './llhttp.js'

const START_US = 1_790_000_000_000_000

/** Where we differ, and why. */
const DIFFERS: Record<string, string> = {
  'request/method.md: SOURCE request with ICE': 'Icecast borrows the request line; it is another protocol',
  'request/method.md: OPTIONS request with RTSP': 'RTSP is another protocol',
  'request/method.md: ANNOUNCE request with RTSP': 'RTSP is another protocol',
  'response/connection.md: HTTP 100 first, then 400': 'interim answers belong to the exchange of the final one',
  'response/connection.md: HTTP 103 first, then 200': 'interim answers belong to the exchange of the final one',
}

/** Byte i comes at µs i, so that the time of a message's first byte is its offset. */
function decoded({ kind, bytes, messages }: Block): Message[] {
  const info = new ConnectionInfo(1n)
  Object.assign(info, { clientIp: '10.0.0.1', clientPort: 40_000, serverIp: '10.0.0.2', serverPort: 80 })
  const segments: Segment[] = []
  if (kind === 'response') {
    const requests = Buffer.from('GET / HTTP/1.1\r\nHost: h\r\n\r\n'.repeat(messages.length + 1))
    segments.push(new Segment(info, TO_SERVER, 0, requests.length, requests, START_US - 1, 0, 0))
  }
  const direction = kind === 'request' ? TO_SERVER : TO_CLIENT
  for (let i = 0; i < bytes.length; i++) {
    segments.push(new Segment(info, direction, i, 1, bytes.subarray(i, i + 1), START_US + i, 0, 0))
  }
  const found: Message[] = []
  for (const each of observe(segments, [http1]).exchanges) {
    const from = (kind === 'request' ? each.reqStartUs : each.respStartUs) - START_US
    if (from < 0) continue
    const bodyBytes = kind === 'request' ? each.reqBytes : each.respBytes
    found.push({
      from,
      method: kind === 'request' ? each.method : '',
      target: kind === 'request' ? each.resource : '',
      status: each.statusCode,
      bodyBytes,
      complete: true,
    })
  }
  return found
}

test('llhttp: the same messages in every strict block', { skip: NO_CORPUS }, (t) => {
  let compared = 0
  let unexplained = 0
  const used = new Set<string>()
  const blocks = strictBlocks()
  for (const block of blocks) {
    const ours = decoded(block)
    const theirs = block.messages.filter((message) => message.complete)
    compared += theirs.length
    const wrong = theirs.some((message) => !ours.some((each) => JSON.stringify(each) === JSON.stringify(message)))
    const extra = block.error === '' && ours.length > block.messages.length
    if (!wrong && !extra) continue
    if (block.name in DIFFERS) used.add(block.name)
    else {
      unexplained += 1
      t.diagnostic(`${block.name}: ${JSON.stringify(theirs)} / ${JSON.stringify(ours)} ${block.error}`)
    }
  }
  t.diagnostic(`${blocks.length} blocks, ${compared} messages, ${Object.keys(DIFFERS).length} blocks differ by design`)
  assert.ok(compared > 60)
  assert.equal(unexplained, 0)
  assert.deepEqual(
    Object.keys(DIFFERS).filter((name) => !used.has(name)),
    [],
    'listed, and yet the same',
  )
})
