/** TLS that another protocol asked for, and what tiny records cost. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { REPO_ROOT } from '../../../core/repo_root.js'
import { type Direction, Segment, TO_CLIENT, TO_SERVER } from '../../../core/segment.js'
import { readGoldens, segmentsOf } from '../../golden/golden.js'
import { observe } from '../../golden/observe.js'
import { PROTOCOLS } from '../registry.js'
import { beginsClientHello } from './probe.js'

const FOLDER = join(REPO_ROOT, 'services/decode/protocols/tls/golden')

function handshake(): Segment[] {
  const found = readGoldens(FOLDER).find(({ name }) => name === 'tls12')
  assert.ok(found)
  return segmentsOf(found)
}

/** `said` in front of a handshake, on the same connection. */
function behind(said: readonly (readonly [Direction, string])[]): Segment[] {
  const tls = handshake()
  const { connection, timeUs } = tls[0]
  const positions = [0, 0]
  const first = said.map(([direction, text], i) => {
    const bytes = Buffer.from(text, 'latin1')
    const position = positions[direction]
    positions[direction] += bytes.length
    return new Segment(connection, direction, position, bytes.length, bytes, timeUs - 100_000 + i * 1000, 0, 0)
  })
  const moved = tls.map(
    ({ direction, position, length, payload, timeUs: at, flags }) =>
      new Segment(connection, direction, positions[direction] + position, length, payload, at, 0, flags),
  )
  return [...first, ...moved]
}

const SMTP = [
  [TO_CLIENT, '220 mail.example ESMTP\r\n'],
  [TO_SERVER, 'EHLO client.example\r\n'],
  [TO_CLIENT, '250-mail.example\r\n250 STARTTLS\r\n'],
  [TO_SERVER, 'STARTTLS\r\n'],
  [TO_CLIENT, '220 go ahead\r\n'],
] as const
/** Its greeting, and the short packet that asks for TLS. */
const MYSQL = [
  [TO_CLIENT, 'J\x00\x00\x00\n8.0.36\x00\x08\x00\x00\x00abcdefgh\x00\xff\xff\xff\x02\x00\xff\xdf\x15'],
  [TO_SERVER, ' \x00\x00\x01\x85\xae\xff\x19\x00\x00\x00\x01\xff\x00\x00\x00'],
] as const
/** Extended request StartTLS, and its answer. */
const LDAP = [
  [TO_SERVER, '0\x1d\x02\x01\x01w\x18\x80\x161.3.6.1.4.1.1466.20037'],
  [TO_CLIENT, '0\x0c\x02\x01\x01x\x07\n\x01\x00\x04\x00\x04\x00'],
] as const

test('STARTTLS of a protocol that is not decoded: the handshake is', () => {
  const whole = observe(handshake(), PROTOCOLS).exchanges
  for (const said of [SMTP, MYSQL, LDAP]) {
    const { exchanges, connections } = observe(behind(said), PROTOCOLS)
    assert.deepEqual(exchanges, whole)
    assert.equal(connections[0].protocol, 'tls')
    assert.equal(connections[0].undecoded_reason, 'encrypted')
  }
})

test('only a ClientHello at the start of a segment begins TLS in the middle of something else', () => {
  const [{ payload }] = handshake()
  assert.equal(beginsClientHello(payload), true)
  const changed = (at: number, byte: number) => {
    const bytes = Buffer.from(payload)
    bytes[at] = byte
    return bytes
  }
  for (const [at, byte] of [
    [0, 23],
    [1, 2],
    [5, 2],
    [6, 1],
    [9, 2],
    [7, 0xff],
  ]) {
    // A message longer than its record goes on in the next one.
    assert.equal(beginsClientHello(changed(at, byte)), at === 7, `byte ${at}`)
  }
  assert.equal(beginsClientHello(payload.subarray(0, 8)), false)
  const mail = [...SMTP.slice(0, 3), [TO_SERVER, `Subject: ${payload.toString('latin1')}`] as const]
  const [first] = observe(behind(mail).slice(0, 4), PROTOCOLS).exchanges
  assert.equal(first, undefined)
})

test('a certificate in records of one byte is read as any other', () => {
  const tiny = handshake().map(({ connection, direction, position, payload, timeUs, flags }) => {
    const isHandshake = payload.length > 0 && payload[0] === 22 && direction === TO_CLIENT && position === 0
    const bytes = isHandshake ? inRecordsOfOneByte(payload) : payload
    return new Segment(connection, direction, position, bytes.length, bytes, timeUs, 0, flags)
  })
  const grown = tiny[1].payload.length - handshake()[1].payload.length
  const moved = tiny.map((each, i) =>
    i > 1 && each.direction === TO_CLIENT
      ? new Segment(
          each.connection,
          TO_CLIENT,
          each.position + grown,
          each.length,
          each.payload,
          each.timeUs,
          0,
          each.flags,
        )
      : each,
  )
  const [whole] = observe(handshake(), PROTOCOLS).exchanges
  const [seen] = observe(moved, PROTOCOLS).exchanges
  assert.equal(seen.attrs?.['tls.server.subject'], whole.attrs?.['tls.server.subject'])
  assert.equal(seen.respBytes, whole.respBytes)
})

function inRecordsOfOneByte(records: Buffer): Buffer {
  const out: Buffer[] = []
  for (let at = 0; at < records.length; ) {
    const size = records.readUInt16BE(at + 3)
    for (let i = 0; i < size; i++) out.push(Buffer.from([22, 3, 3, 0, 1, records[at + 5 + i]]))
    at += 5 + size
  }
  return Buffer.concat(out)
}
