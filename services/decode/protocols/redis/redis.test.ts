/** What goldens cannot play: bounds, what is refused, and what no policy lets through. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cursor } from '../../../core/cursor.js'
import type { Exchange } from '../../../core/exchange.js'
import { BAD, type Decoder, NO, WITHDRAW } from '../../../core/protocol.js'
import { Random } from '../../../core/random.js'
import { type Direction, TO_CLIENT, TO_SERVER } from '../../../core/segment.js'
import { StateWriter } from '../../../core/state.js'
import { endpointOf, keyTemplate } from './key_template.js'
import { REDIS_PRIVACY } from './privacy.js'
import { redis } from './redis.js'
import { PENDING_MAX } from './waiting.js'

function command(...args: string[]): string {
  return `*${args.length}\r\n${args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`).join('')}`
}

function open(withoutAttrs = false): { exchanges: Exchange[]; decoder: Decoder } {
  const exchanges: Exchange[] = []
  const out = { exchange: (each: Exchange) => exchanges.push(each), withoutAttrs }
  return { exchanges, decoder: redis.open(out, { transport: 'tcp', handover: null }) }
}

/** Answers the last verdict. */
function say(decoder: Decoder, direction: Direction, text: string, timeUs: number): number {
  const cursor = Cursor.over(Buffer.from(text), timeUs)
  while (cursor.length > 0) {
    const consumed = decoder.parse(direction, cursor)
    if (consumed <= 0) return consumed
    cursor.pos += consumed
  }
  return 1
}

test('commands read in one pass say what those say that come in two pieces', () => {
  const random = new Random(5)
  const texts = [
    '',
    'k',
    'user:12:cart',
    'größe:7',
    '\ud800',
    'x'.repeat(99),
    'y'.repeat(256),
    'z'.repeat(300),
    'v'.repeat(1200),
  ]
  const names = [
    'GET',
    'get',
    'SET',
    'MSET',
    'PING',
    'ZUNION',
    'BLMPOP',
    'EVAL',
    'CONFIG',
    'ACL',
    'JSON.SET',
    'NOPE',
    '',
  ]
  for (let i = 0; i < 2000; i++) {
    const args = Array.from({ length: random.below(12) }, () => random.pick(texts))
    const bytes = Buffer.from(command(random.pick(names), ...args))
    const at = 1 + random.below(bytes.length - 1)
    const [whole, cut] = [[bytes], [bytes.subarray(0, at), bytes.subarray(at)]].map((pieces) => {
      const { exchanges, decoder } = open(i % 2 === 0)
      say(decoder, TO_SERVER, command('PING'), 1)
      say(decoder, TO_CLIENT, '+PONG\r\n', 2)
      let left: Buffer = Buffer.alloc(0)
      for (const piece of pieces) {
        const cursor = Cursor.over(Buffer.concat([left, piece]), 3)
        for (let consumed = 1; consumed > 0 && cursor.length > 0; ) {
          consumed = decoder.parse(TO_SERVER, cursor)
          if (consumed > 0) cursor.pos += consumed
        }
        left = cursor.bytes.subarray(cursor.pos)
      }
      say(decoder, TO_CLIENT, '+OK\r\n', 4)
      return exchanges
    })
    assert.deepEqual(whole, cut, bytes.toString())
  }
})

test('a pipeline deeper than what is kept: the first are answered, nothing shifts, and memory is bounded', () => {
  const { exchanges, decoder } = open()
  const count = PENDING_MAX + 500
  for (let i = 0; i < count; i++) say(decoder, TO_SERVER, command('GET', `key:${i}`), 1000)
  const state = new StateWriter()
  decoder.save(state)
  for (let i = 0; i < count; i++) say(decoder, TO_CLIENT, i === 7 ? '-ERR x\r\n' : '$1\r\nv\r\n', 2000)
  say(decoder, TO_SERVER, command('GET', 'after'), 3000)
  say(decoder, TO_CLIENT, '-WRONGTYPE x\r\n', 4000)
  assert.equal(exchanges.length, count + 1)
  assert.equal(exchanges.filter((each) => each.anomalies.includes('redis.too_many_pending')).length, 500)
  assert.equal(exchanges.find((each) => each.resource === 'key:7')?.error, 'ERR')
  assert.equal(exchanges.find((each) => each.resource === 'key:8')?.error, '')
  assert.equal(exchanges.find((each) => each.resource === 'after')?.error, 'WRONGTYPE')
})

test('passwords reach no exchange, whatever the policy', () => {
  const { exchanges, decoder } = open()
  const commands = [
    command('AUTH', 's3cret'),
    command('auth', 'bob', 's3cret'),
    command('HELLO', '3', 'AUTH', 'bob', 's3cret'),
    command('CONFIG', 'SET', 'requirepass', 's3cret'),
    command('CONFIG', 'SET', 'maxmemory', '1', 'masterauth', 's3cret'),
    command('ACL', 'SETUSER', 'bob', 'on', '>s3cret', '#s3cret'),
    command('MIGRATE', 'h', '1', 'k', '0', '1', 'AUTH', 's3cret'),
    command('MIGRATE', 'h', '1', 'k', '0', '1', 'AUTH2', 'bob', 's3cret'),
    'AUTH s3cret\r\n',
    command('AUHT', 'password', 's3cret').replace('AUHT', 'AUTX'),
    command('SENTINEL', 'SET', 'm', 'auth-pass', 's3cret'),
  ]
  for (const each of commands) say(decoder, TO_SERVER, each, 1000)
  decoder.close('closed', 2000)
  assert.equal(exchanges.length, commands.length)
  for (const each of exchanges) {
    if (each.method === 'AUTX') continue
    assert.ok(!JSON.stringify(each).includes('s3cret'), JSON.stringify(each))
  }
})

test('templates keep words only', () => {
  for (const [key, template] of [
    ['user:1234:cart', 'user:{id}:cart'],
    ['session:550e8400-e29b-41d4-a716-446655440000', 'session:{uuid}'],
    ['mail:bob@example.com', 'mail:{email}'],
    ['cache/3f2a9c81d0', 'cache/{hex}'],
    [':1:factorial_50', ':{id}:factorial_{id}'],
    ['{user1000}.following', '{user{id}}.following'],
    ['a b', '{token}'],
    ['v1a2b3c', '{token}'],
  ]) {
    assert.equal(keyTemplate(key), template)
    assert.equal(REDIS_PRIVACY.maskResource(key), template)
  }
  assert.ok(!REDIS_PRIVACY.attrsKept.has('db.query.text'))
})

test('an endpoint is the method and the template of the key, whatever keys came before', () => {
  const random = new Random(41)
  const parts = [
    'user',
    'a1',
    '17',
    '9',
    '3f2a9c81d0',
    '3f2a9c81d9',
    'bob@example.com',
    'bob@example.com1',
    'é',
    '_',
    '',
  ]
  for (let i = 0; i < 20_000; i++) {
    const method = random.pick(['GET', 'SET', 'HSET'])
    const key = Array.from({ length: random.below(4) }, () => random.pick(parts)).join(random.pick([':', '/', '.']))
    assert.equal(endpointOf(method, key), key === '' ? method : `${method} ${keyTemplate(key)}`)
  }
})

test('without attributes a command is told all the same', () => {
  const long = 'k'.repeat(256)
  const commands = [
    command('SET', 'k', 'v'.repeat(300)),
    command('SET', long, 'v'.repeat(300)),
    command('XREAD', 'COUNT', '1', 'STREAMS', 's', '0'),
    command('EVAL', 'return 1', '1', 'key'),
    command('CONFIG', 'GET', 'maxmemory'),
    command('SELECT', '3'),
    command('JSON.GET', 'doc', '.'),
    command('BITOP', 'AND', 'to', 'from'),
  ]
  const told = [true, false].map((withoutAttrs) => {
    const { exchanges, decoder } = open(withoutAttrs)
    for (const each of commands) say(decoder, TO_SERVER, each, 1000)
    decoder.close('closed', 2000)
    return exchanges.map((each) => ({ ...each, attrs: null }))
  })
  assert.deepEqual(told[0], told[1])
})

test('what is almost RESP is refused', () => {
  for (const text of [
    '*1\n$4\nPING\n',
    '*1\r\n$5\r\nPING\r\n',
    '*01\r\n$4\r\nPING\r\n',
    '*1\r\n$-1\r\n',
    '*2\r\n$3\r\nGET\r\n:1\r\n',
    '* OK IMAP4rev1 ready\r\n',
    '*1\r\n$4\r\n\x00\x01\x02\x03\r\n',
    'EHLO\x00\r\n',
  ]) {
    assert.equal(redis.probe(Cursor.over(Buffer.from(text, 'latin1')), TO_SERVER), NO, JSON.stringify(text))
  }
  assert.equal(redis.probe(Cursor.over(Buffer.from('+OK POP3 ready\r\n')), TO_CLIENT), NO)
  const { exchanges, decoder } = open()
  say(decoder, TO_SERVER, command('PING'), 1000)
  assert.equal(say(decoder, TO_CLIENT, 'HTTP/1.1 400 Bad Request\r\n\r\n', 2000), WITHDRAW)
  decoder.close('switched', 2000)
  assert.equal(exchanges.length, 0)
})

test('nesting without end is refused', () => {
  const { decoder } = open()
  say(decoder, TO_SERVER, command('PING') + command('PING'), 1000)
  say(decoder, TO_CLIENT, '+PONG\r\n', 2000)
  assert.equal(say(decoder, TO_CLIENT, '*1\r\n'.repeat(100), 2000), BAD)
})

test('an answer captured a moment before its command is its answer, and shifts no later one', () => {
  const { exchanges, decoder } = open()
  say(decoder, TO_SERVER, command('GET', 'a'), 1000)
  say(decoder, TO_CLIENT, ':1\r\n:2\r\n', 2000)
  say(decoder, TO_SERVER, command('INCR', 'b'), 2010)
  say(decoder, TO_SERVER, command('INCR', 'c'), 3000)
  say(decoder, TO_CLIENT, '-WRONGTYPE x\r\n', 4000)
  decoder.close('closed', 5000)
  const said = exchanges.map(({ resource, error, complete }) => `${resource} ${error} ${complete}`)
  assert.deepEqual(said, ['a  true', 'b  true', 'c WRONGTYPE true'])
})

test("what a server says to whoever connects is nobody's answer", () => {
  const { exchanges, decoder } = open()
  say(decoder, TO_CLIENT, '-ERR max number of clients reached\r\n', 1000)
  say(decoder, TO_SERVER, command('GET', 'a'), 1010)
  decoder.close('closed', 5000)
  assert.deepEqual(
    exchanges.map(({ method, error, complete }) => `${method} ${error} ${complete}`),
    [' ERR false', 'GET  false'],
  )
})

/** What is said on a connection, `>` or `<` first, `at` µs; then it is closed. */
function said(...words: [text: string, at: number][]): string[] {
  const { exchanges, decoder } = open()
  for (const [text, at] of words) say(decoder, text[0] === '>' ? TO_SERVER : TO_CLIENT, text.slice(1), at)
  decoder.close('closed', 9_000_000)
  return exchanges.map(({ method, error, complete, attrs }) => {
    return [method, error, attrs?.['redis.transaction'] ?? '', complete ? '' : 'incomplete']
      .filter((word) => word)
      .join(' ')
  })
}

test('one answer too many before a transaction, a subscription, a copy for a replica', () => {
  const [multi, get, exec] = [command('MULTI'), command('GET', 'a'), command('EXEC')].map((each) => `>${each}`)
  const surplus = ['<-WRONGTYPE x\r\n', 1000] as [string, number]
  const answered: [string, number][] = [
    ['<+OK\r\n', 2000],
    [get, 2050],
    ['<+QUEUED\r\n', 3000],
    [exec, 3050],
    ['<*1\r\n-LOADING x\r\n', 4000],
  ]
  const transaction = ['MULTI', 'GET LOADING executed', 'EXEC']
  assert.deepEqual(
    said(surplus, [multi, 1050], ...answered).toSorted(),
    ['WRONGTYPE incomplete', ...transaction].toSorted(),
  )
  // Each answer a moment before its command, but where a further one follows.
  assert.deepEqual(
    said(
      ['<+OK\r\n', 990],
      [multi, 1000],
      [get, 2000],
      ['<+QUEUED\r\n', 1995],
      [exec, 3000],
      ['<*1\r\n-LOADING x\r\n', 4000],
    ).toSorted(),
    transaction.toSorted(),
  )
  const confirmed = '<*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n'
  const message = '<*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n'
  const subscribe = `>${command('SUBSCRIBE', 'c')}`
  const subscribed = ['WRONGTYPE incomplete', 'SUBSCRIBE', 'PUSH MESSAGE']
  assert.deepEqual(said(surplus, [subscribe, 1050], [confirmed, 2000], [message, 3000]), subscribed)
  const sync = `>${command('PSYNC', '?', '-1')}`
  const resync = `<+FULLRESYNC ${'0'.repeat(40)} 0\r\n`
  assert.deepEqual(said(surplus, [sync, 1050], ['<\n', 1500], [resync, 2000], ['<\x01\x02', 3000]), [
    'WRONGTYPE incomplete',
    'PSYNC',
  ])
  assert.deepEqual(said([sync, 1050], [resync, 1000], ['<\x01\x02', 3000]), ['PSYNC'])
})
