/** Whatever blocks came before, a block says what it says to a reader that sees it first. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Random } from '../../../core/random.js'
import { Head, noteHead, readField } from './head.js'
import { HeadReader, RecentBlock } from './head_reader.js'

const LINES: readonly (readonly string[])[] = [
  ['Host: a.example', 'Host: b.example', 'Host: ', 'host: a.example', 'Hosts: a.example'],
  [
    'Content-Length: 5',
    'Content-Length: 17',
    'Content-Length: 5, 5',
    'Content-Length: x',
    'Transfer-Encoding: chunked',
  ],
  ['X-Request-Id: 1', 'X-Request-Id: 22', 'X-Request-Id:3', 'X-Request-Id:  4 ', 'X-Request-Id: grün'],
  ['traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', 'traceparent: nonsense', 'b3: 0'],
  ['User-Agent: one', 'User-Agent: one two', 'User-Agent: one\rtwo', 'User-Agent : one'],
  ['Connection: upgrade', 'Connection: close', 'Upgrade: websocket', 'Upgrade: h2c'],
  ['Authorization: Basic YWxpY2U6c2VjcmV0', 'Authorization: Basic Ym9iOnNlY3JldA==', 'Authorization: Bearer t'],
  [
    'Expect: 100-continue',
    'X-Forwarded-For: 10.0.0.1, 10.0.0.2',
    'X-Forwarded-For: 10.0.0.3',
    `A: ${'v'.repeat(9000)}`,
  ],
]
const TURNS = 3000

function plain(head: Head): Record<string, unknown> {
  const { valueFrom, folds, keptBytes, ...said } = head
  return said
}

/** The block read field by field, as far as this test makes them: no folding. */
function reference(block: string): Head {
  const head = new Head()
  for (const line of block.split('\n').slice(0, -2)) {
    const text = line.endsWith('\r') ? line.slice(0, -1) : line
    if (text === line) noteHead(head, 'http1.bare_lf')
    const bytes = Buffer.from(text)
    readField(head, bytes, 0, bytes.length, '')
  }
  return head
}

function someBlock(random: Random, lines: readonly string[]): string {
  const end = random.below(200) === 0 ? '\n' : '\r\n'
  return `${lines.map((line) => line + end).join('')}\r\n`
}

test('blocks that repeat in part', () => {
  const random = new Random(5)
  const recent = new RecentBlock()
  let reader = new HeadReader(recent)
  let chosen = LINES.map((forms) => random.pick(forms))
  for (let turn = 0; turn < TURNS; turn++) {
    if (random.below(40) === 0) reader = new HeadReader(recent)
    if (random.below(30) === 0) chosen = LINES.map((forms) => random.pick(forms))
    const changing = random.below(LINES.length)
    if (random.below(3) > 0) chosen[changing] = random.pick(LINES[changing])
    const lines = chosen.filter(() => random.below(30) > 0)
    const block = someBlock(random, lines)
    const [before, after] = ['x'.repeat(random.below(4)), random.below(2) === 0 ? '' : 'body']
    const bytes = Buffer.from(before + block + after)
    const head = reader.read(bytes, before.length, bytes.length)
    assert.ok(head !== null)
    assert.deepEqual(plain(head), plain(reference(block)), block)
    assert.equal(reader.size, Buffer.byteLength(block))
  }
})

test('a block that is not whole is none yet, wherever it is cut', () => {
  const reader = new HeadReader(new RecentBlock())
  const whole = Buffer.from('Host: a\r\nX-Request-Id: 17\r\n\r\n')
  const other = Buffer.from('Host: a\r\nX-Request-Id: 42\r\n\r\n')
  assert.ok(reader.read(whole, 0, whole.length) !== null)
  for (const bytes of [whole, other]) {
    for (let end = 0; end < bytes.length; end++) assert.equal(reader.read(bytes, 0, end), null, `cut at ${end}`)
    assert.equal(reader.read(bytes, 0, bytes.length)?.requestId, bytes.toString('latin1').slice(23, 25))
  }
})

test('a list of fields handed out stays as it was', () => {
  const reader = new HeadReader(new RecentBlock())
  const read = (id: number) => {
    const bytes = Buffer.from(`Host: a\r\nX-Request-Id: ${id}\r\n\r\n`)
    return reader.read(bytes, 0, bytes.length)?.fields
  }
  const lists = [1, 2, 3, 3, 1].map(read)
  assert.deepEqual(
    lists,
    [1, 2, 3, 3, 1].map((id) => ['host', 'a', 'x-request-id', String(id)]),
  )
})
