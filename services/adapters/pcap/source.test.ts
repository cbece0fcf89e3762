import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { Segment } from '../../core/segment.js'
import { SegmentFlag } from '../../core/segment.js'
import { PcapSource } from './source.js'

const folder = mkdtempSync(join(tmpdir(), 'klartext-pcap-'))
after(() => rmSync(folder, { recursive: true, force: true }))

interface Tcp {
  readonly from: number
  readonly to: number
  readonly seq: number
  readonly ack?: number
  readonly flags?: number
  readonly data?: string
}

const SYN = 2
const RST = 4
const ACK = 16

/** One Ethernet frame; the client is 10.0.0.1, whose ports lie above 1024. */
function frame({ from, to, seq, ack = 0, flags = ACK, data = '' }: Tcp): Buffer {
  const bytes = Buffer.alloc(54 + data.length)
  bytes.writeUInt16BE(0x0800, 12)
  bytes[14] = 0x45
  bytes.writeUInt16BE(40 + data.length, 16)
  bytes[23] = 6
  bytes.writeUInt32BE(from > 1024 ? 0x0a000001 : 0x0a000002, 26)
  bytes.writeUInt32BE(from > 1024 ? 0x0a000002 : 0x0a000001, 30)
  bytes.writeUInt16BE(from, 34)
  bytes.writeUInt16BE(to, 36)
  bytes.writeUInt32BE(seq >>> 0, 38)
  bytes.writeUInt32BE(ack >>> 0, 42)
  bytes[46] = 0x50
  bytes[47] = flags
  bytes.write(data, 54, 'latin1')
  return bytes
}

function write(frames: readonly Buffer[], big = false): string {
  const path = join(folder, 'file.pcap')
  const u32 = (value: number) => {
    const bytes = Buffer.alloc(4)
    if (big) bytes.writeUInt32BE(value)
    else bytes.writeUInt32LE(value)
    return bytes
  }
  const header = Buffer.concat([u32(0xa1b2c3d4), Buffer.alloc(12), u32(65_535), u32(1)])
  const records = frames.flatMap((bytes, i) => [
    u32(1_790_000_000),
    u32(i * 2000),
    u32(bytes.length),
    u32(bytes.length),
    bytes,
  ])
  writeFileSync(path, Buffer.concat([header, ...records]))
  return path
}

async function read(frames: readonly Buffer[], big = false): Promise<Segment[]> {
  const segments: Segment[] = []
  for await (const batch of new PcapSource(write(frames, big)).batches()) segments.push(...batch)
  return segments
}

const text = (segments: readonly Segment[], direction: number) =>
  segments
    .filter((each) => each.direction === direction)
    .map((each) => each.payload.toString('latin1'))
    .join('')

const OPENING = [
  frame({ from: 40_000, to: 80, seq: 99, flags: SYN }),
  frame({ from: 80, to: 40_000, seq: 499, ack: 100, flags: SYN | ACK }),
]
const say = (seq: number, data: string) => frame({ from: 40_000, to: 80, seq, ack: 500, data })

test('both byte orders', async () => {
  for (const big of [false, true]) assert.equal(text(await read([...OPENING, say(100, 'abc')], big), 0), 'abc')
})

test('disorder, retransmission and overlap: each byte once, the first copy of it', async () => {
  const segments = await read([
    ...OPENING,
    say(103, 'def'),
    say(100, 'abc'),
    say(100, 'ABC'),
    say(104, 'EFGH'),
    say(108, 'ij'),
  ])
  assert.equal(text(segments, 0), 'abcdefGHij')
  assert.deepEqual(
    segments.filter((each) => each.length > 0).map((each) => each.position),
    [0, 3, 6, 8],
  )
})

test('the sequence number wraps', async () => {
  const opening = [frame({ from: 40_000, to: 80, seq: 0xfffffffd, flags: SYN })]
  assert.equal(text(await read([...opening, say(0xfffffffe, 'abcd'), say(2, 'ef')]), 0), 'abcdef')
})

test('acknowledged bytes that the capture has not are a gap', async () => {
  const acknowledge = (ack: number) => frame({ from: 80, to: 40_000, seq: 500, ack })
  const segments = await read([
    ...OPENING,
    say(100, 'ab'),
    say(105, 'fg'),
    acknowledge(107),
    acknowledge(107),
    say(107, 'h'),
  ])
  const after = segments.find((each) => each.position === 5)
  assert.ok(after && (after.flags & SegmentFlag.GAP_BEFORE) !== 0)
  assert.equal(text(segments, 0), 'abfgh')
})

test('ports used again are another connection', async () => {
  const again = [frame({ from: 40_000, to: 80, seq: 7000, flags: SYN }), say(7001, 'new')]
  const segments = await read([...OPENING, say(100, 'old'), ...again])
  assert.equal(new Set(segments.map((each) => each.connection.id)).size, 2)
})

test('a forged reset outside the window ends nothing', async () => {
  const reset = (seq: number) => frame({ from: 40_000, to: 80, seq, flags: RST })
  assert.equal(text(await read([...OPENING, say(100, 'abc'), reset(0x7f000000), say(103, 'def')]), 0), 'abcdef')
  const ended = await read([...OPENING, say(100, 'abc'), reset(103), say(103, 'def')])
  assert.equal(text(ended, 0), 'abc')
  assert.ok(ended.some((each) => (each.flags & SegmentFlag.RESET) !== 0))
})
