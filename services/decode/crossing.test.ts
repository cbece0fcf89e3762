/** Answers that were captured before the requests they are next to: of these, or of requests that were never captured. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Protocol } from '../core/protocol.js'
import { ConnectionInfo, type Direction, Segment, SegmentFlag, TO_CLIENT, TO_SERVER } from '../core/segment.js'
import { observe } from './golden/observe.js'
import { restoring } from './golden/restoring.js'
import { http1 } from './protocols/http1/http1.js'
import { postgresql } from './protocols/postgresql/postgresql.js'
import { redis } from './protocols/redis/redis.js'
import { websocket } from './protocols/websocket/websocket.js'

interface Case {
  readonly protocol: Protocol
  ask(n: number): string
  answer(n: number): string
}

/** `n` stands in the key or path, and is the size of the answer. */
const CASES: Case[] = [
  {
    protocol: redis,
    ask: (n) => `*2\r\n$3\r\nGET\r\n$${String(n).length}\r\n${n}\r\n`,
    answer: (n) => `$${n}\r\n${'v'.repeat(n)}\r\n`,
  },
  {
    protocol: http1,
    ask: (n) => `GET /${n} HTTP/1.1\r\nHost: h\r\n\r\n`,
    answer: (n) => `HTTP/1.1 200 OK\r\nContent-Length: ${n}\r\n\r\n${'v'.repeat(n)}`,
  },
]

/** Messages of PostgreSQL: type and body in turn. */
function messages(...words: string[]): string {
  let text = ''
  for (let i = 0; i < words.length; i += 2) {
    const length = Buffer.alloc(4)
    length.writeInt32BE(words[i + 1].length + 4)
    text += words[i] + length.toString('latin1') + words[i + 1]
  }
  return text
}

function row(bytes: number): string {
  const length = Buffer.alloc(4)
  length.writeInt32BE(bytes)
  return `\0\x01${length.toString('latin1')}${'v'.repeat(bytes)}`
}

const POSTGRESQL: Case[] = [
  {
    protocol: postgresql,
    ask: (n) => messages('Q', `select ${n}\0`),
    answer: (n) => messages('D', row(n), 'C', 'SELECT 1\0', 'Z', 'I'),
  },
  {
    protocol: postgresql,
    ask: (n) => messages('P', `\0select ${n}\0\0\0`, 'B', '\0'.repeat(8), 'E', '\0'.repeat(5), 'S', ''),
    answer: (n) => messages('1', '', '2', '', 'D', row(n), 'C', 'SELECT 1\0', 'Z', 'I'),
  },
]

const LATENCY_US = 1000
const FAST_US = 50

/** `>3` a request, `<3` its answer, `!` answers are lost, each with the µs since the one before. */
type Said = [what: string, afterUs: number]

function exchanges(from: number, to: number): Said[] {
  const said: Said[] = []
  for (let n = from; n <= to; n++) said.push([`>${n}`, FAST_US], [`<${n}`, LATENCY_US])
  return said
}

/** `3=3 1000` = request 3 with answer 3 and latency, `3=- -` one without, `-=3 -` an answer alone; in time order. */
function decode({ protocol, ask, answer }: Case, said: readonly Said[], again: boolean): string[] {
  const info = new ConnectionInfo(1n)
  Object.assign(info, { clientIp: '10.0.0.1', serverIp: '10.0.0.2', serverPort: 1 })
  const positions = [0, 0]
  let timeUs = 1_790_000_000_000_000
  let flags = 0
  const segments: Segment[] = []
  for (const [what, afterUs] of said) {
    timeUs += afterUs
    if (what === '!') {
      positions[TO_CLIENT] += 100
      flags |= SegmentFlag.GAP_BEFORE
      continue
    }
    const direction = what[0] === '>' ? TO_SERVER : TO_CLIENT
    const bytes = Buffer.from((direction === TO_SERVER ? ask : answer)(Number(what.slice(1))), 'latin1')
    segments.push(new Segment(info, direction, positions[direction], bytes.length, bytes, timeUs, 0, flags))
    positions[direction] += bytes.length
    if (direction === TO_CLIENT) flags &= ~SegmentFlag.GAP_BEFORE
  }
  const { flows } = observe(segments, [again ? restoring(protocol) : protocol])
  return [...flows]
    .sort((a, b) => a.ts - b.ts)
    .map((flow) => {
      const asked = (flow.attrs['db.query.text'] ?? flow.resource).replace(/^(?:GET |select |\/)/, '')
      return `${asked || '-'}=${flow.complete ? `${flow.resp_bytes} ${flow.latency_us}` : flow.resp_bytes || '-'}`
    })
}

test('an answer that crossed its request changes the protocol for both', () => {
  const info = new ConnectionInfo(1n)
  Object.assign(info, { clientIp: '10.0.0.1', serverIp: '10.0.0.2', serverPort: 1 })
  const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\n'
  const said: [direction: Direction, bytes: Buffer][] = [
    [TO_CLIENT, Buffer.from(`HTTP/1.1 101 Switching Protocols\r\n${upgrade}\r\n`)],
    [TO_SERVER, Buffer.from(`GET /chat HTTP/1.1\r\nHost: h\r\n${upgrade}\r\n`)],
    [TO_CLIENT, Buffer.from([0x81, 2, 104, 105])],
  ]
  const positions = [0, 0]
  const segments = said.map(([direction, bytes], i) => {
    const at = positions[direction]
    positions[direction] += bytes.length
    return new Segment(info, direction, at, bytes.length, bytes, 1_790_000_000_000_000 + i * 10, 0, 0)
  })
  for (const order of [segments, [segments[1], segments[0], segments[2]]]) {
    for (const protocols of [[http1, websocket], [http1, websocket].map((each) => restoring(each))]) {
      const { flows } = observe(order, protocols)
      const told = flows.map(
        (flow) => `${flow.protocol} ${flow.method} ${flow.resource} ${flow.status_code} ${flow.complete}`,
      )
      assert.deepEqual(told, ['http1 GET /chat 101 1', 'websocket text /chat 0 1', 'websocket close /chat 0 0'])
    }
  }
})

function pairs(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, i) => `${from + i}=${from + i} ${LATENCY_US}`)
}

function check(name: string, said: readonly Said[], expected: readonly string[], cases = CASES): void {
  for (const each of cases) {
    for (const again of [false, true]) {
      const what = `${each.protocol.name}: ${name}${again ? ', restored before each call' : ''}`
      test(what, () => assert.deepEqual(decode(each, said, again), expected))
    }
  }
}

check(
  'joined between a request and its answer: that is alone, and shifts no later one',
  [['<777', 0], ...exchanges(1, 99)],
  ['-=777', ...pairs(1, 99)],
)

check(
  'an answer too many amid a connection',
  [...exchanges(1, 5), ['<777', FAST_US], ...exchanges(6, 9)],
  [...pairs(1, 5), '-=777', ...pairs(6, 9)],
)

check(
  'an answer that crossed its request is its own, and shifts no later one',
  [...exchanges(1, 2), ['<3', 500], ['>3', 10], ...exchanges(4, 5), ['<6', 500], ['>6', 10]],
  [...pairs(1, 2), '3=3 0', ...pairs(4, 5), '6=6 0'],
  [...CASES, ...POSTGRESQL],
)

// What one operation has changed before the doubt shows is not undone: that one stays apart from its answer.
check(
  'joined between a request and its answer: what may be mispaired is apart, and no later one is shifted',
  [['<777', 0], ...exchanges(1, 99)],
  ['-=777', '1=-', '-=1', ...pairs(2, 99)],
  POSTGRESQL,
)

check(
  'an answer too many amid a connection',
  [...exchanges(1, 5), ['<777', FAST_US], ...exchanges(6, 9)],
  [...pairs(1, 5), '-=777', '6=-', '-=6', ...pairs(7, 9)],
  POSTGRESQL,
)

check(
  'beside a pipeline nobody can tell; the first request that waits for its answer has its own again',
  [['<777', 0], ['>1', 50], ['>2', 5], ['<1', 1000], ['<2', 10], ...exchanges(3, 4)],
  ['1=777 0', '2=1 1000', '-=2', ...pairs(3, 4)],
)

for (const each of CASES) {
  // HTTP/1 knows by its status line that the answer was seen from its beginning on.
  const third = each.protocol === redis ? '3=3' : `3=3 ${LATENCY_US}`
  check(
    'answers lost before another request: the answer before is not taken for its own',
    [...exchanges(1, 2), ['<777', 500], ['>3', 50], ['!', 0], ['<3', 1000], ...exchanges(4, 5)],
    [...pairs(1, 2), '-=777', third, ...pairs(4, 5)],
    [each],
  )
}
