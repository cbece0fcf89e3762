import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fromClient, HANDSHAKE, ipv4, pcap, readCapture, START_US, tcp, textOf } from '../../../test/fakes/packets.js'

const frame = fromClient(1, 'hello')

/** pcapng blocks in either byte order. */
class Blocks {
  readonly #big: boolean

  constructor(big = false) {
    this.#big = big
  }

  u32(...values: number[]): Buffer {
    const bytes = Buffer.alloc(4 * values.length)
    for (const [i, value] of values.entries()) {
      if (this.#big) bytes.writeUInt32BE(value >>> 0, 4 * i)
      else bytes.writeUInt32LE(value >>> 0, 4 * i)
    }
    return bytes
  }

  u16(...values: number[]): Buffer {
    const bytes = Buffer.alloc(2 * values.length)
    for (const [i, value] of values.entries()) {
      if (this.#big) bytes.writeUInt16BE(value, 2 * i)
      else bytes.writeUInt16LE(value, 2 * i)
    }
    return bytes
  }

  block(type: number, ...parts: Buffer[]): Buffer {
    const body = Buffer.concat(parts)
    const padding = Buffer.alloc((4 - (body.length % 4)) % 4)
    const size = this.u32(12 + body.length + padding.length)
    return Buffer.concat([this.u32(type), size, body, padding, size])
  }

  section(): Buffer {
    return this.block(0x0a0d0d0a, this.u32(0x1a2b3c4d), this.u16(1, 0), this.u32(0xffffffff, 0xffffffff))
  }

  face(linkType: number, options: Buffer = Buffer.alloc(0), snapLength = 0): Buffer {
    return this.block(1, this.u16(linkType, 0), this.u32(snapLength), options)
  }

  option(code: number, body: Buffer): Buffer {
    return Buffer.concat([this.u16(code, body.length), body, Buffer.alloc((4 - (body.length % 4)) % 4)])
  }

  /** Enhanced packet block. */
  packet(face: number, ticks: bigint, bytes: Buffer, wireLength = bytes.length): Buffer {
    const time = this.u32(Number(ticks >> 32n), Number(ticks & 0xffffffffn))
    return this.block(6, this.u32(face), time, this.u32(bytes.length, wireLength), bytes)
  }
}

const times = async (file: Buffer) =>
  (await readCapture(file)).segments.map((each) => BigInt(each.timeUs) * 1000n + BigInt(each.timeRestNs))

test('pcap: both byte orders, microseconds and nanoseconds, Kuznetsov’s header', async () => {
  for (const big of [false, true]) {
    assert.deepEqual(await times(pcap([frame], { big })), [BigInt(START_US) * 1000n])
    const nano = pcap([{ bytes: frame, timeUs: START_US + 7, restNs: 999 }], { big, magic: 0xa1b23c4d })
    assert.deepEqual(await times(nano), [BigInt(START_US + 7) * 1000n + 999n])
    const modified = pcap([frame, frame], { big, magic: 0xa1b2cd34, extraHeader: 8 })
    assert.equal((await readCapture(modified)).source.packets, 2)
  }
})

test('pcap: the upper bits of the link type are none of it', async () => {
  assert.equal((await readCapture(pcap([frame], { linkType: 0x1400_0001 }))).segments.length, 1)
})

test('pcapng: both byte orders and every resolution of time', async () => {
  const seconds = BigInt(START_US / 1e6)
  for (const big of [false, true]) {
    const b = new Blocks(big)
    const resolution = (value: number) => b.option(9, Buffer.from([value]))
    const shift = (from: bigint) => {
      const bytes = Buffer.alloc(8)
      if (big) bytes.writeBigInt64BE(from)
      else bytes.writeBigInt64LE(from)
      return b.option(14, bytes)
    }
    for (const [options, ticks, ns] of [
      [b.u32(), seconds * 1_000_000n + 5n, seconds * 1_000_000_000n + 5000n],
      [resolution(9), seconds * 1_000_000_000n + 123n, seconds * 1_000_000_000n + 123n],
      [resolution(3), seconds * 1000n + 7n, seconds * 1_000_000_000n + 7_000_000n],
      [resolution(12), 1_000_000_007_999n, 1_000_000_007n],
      [resolution(0x80 | 10), seconds * 1024n + 1n, seconds * 1_000_000_000n + 976_562n],
      [Buffer.concat([resolution(9), shift(seconds)]), 42n, seconds * 1_000_000_000n + 42n],
      [
        Buffer.concat([resolution(6), b.option(0, b.u32()), resolution(3)]),
        seconds * 1_000_000n,
        seconds * 1_000_000_000n,
      ],
    ] as const) {
      const file = Buffer.concat([b.section(), b.face(1, options), b.packet(0, ticks, frame)])
      assert.deepEqual(await times(file), [ns])
    }
  }
})

test('pcapng: several sections of either order, several interfaces with a link type each', async () => {
  const raw = (seq: number, data: string) => ipv4({ protocol: 6 }, tcp({ from: 40_000, to: 80, seq, data }))
  const [little, big] = [new Blocks(), new Blocks(true)]
  const file = Buffer.concat([
    little.section(),
    little.face(1),
    little.face(101),
    little.packet(1, 1n, raw(1, 'ab')),
    little.packet(0, 2n, fromClient(3, 'cd')),
    big.section(),
    big.face(101),
    big.packet(0, 3n, raw(5, 'ef')),
  ])
  const { segments } = await readCapture(file)
  assert.equal(textOf(segments, 0), 'abcdef')
})

test('pcapng: simple and old packet blocks; unknown ones and secrets are passed over', async () => {
  const b = new Blocks()
  const more = fromClient(6, ' world')
  const file = Buffer.concat([
    b.section(),
    b.block(0x0bad, Buffer.alloc(33)),
    b.face(1, Buffer.alloc(0), 0),
    b.block(10, Buffer.from('CLIENT_RANDOM')),
    b.block(4, Buffer.alloc(40)),
    b.block(3, b.u32(frame.length), frame),
    b.block(2, b.u16(0, 0), b.u32(0, 5), b.u32(more.length, more.length), more),
    b.block(5, b.u32(0, 0, 0)),
  ])
  const { segments } = await readCapture(file)
  assert.equal(textOf(segments, 0), 'hello world')
})

test('pcapng: simple packets are cut at the length of their interface', async () => {
  const b = new Blocks()
  const simple = b.block(3, b.u32(frame.length), frame.subarray(0, 56))
  const { segments } = await readCapture(Buffer.concat([b.section(), b.face(1, Buffer.alloc(0), 56), simple]))
  assert.deepEqual([segments[0].length, segments[0].payload.length], [5, 2])
})

const files = (): [string, Buffer][] => {
  const b = new Blocks()
  const packets = [...HANDSHAKE, fromClient(100, 'abc'), fromClient(103, 'def')]
  const blocks = packets.map((bytes, i) => b.packet(0, BigInt(i), bytes))
  return [
    ['pcap', pcap(packets)],
    ['pcapng', Buffer.concat([b.section(), b.face(1), ...blocks])],
  ]
}

test('blocks of any size give the same segments', async () => {
  for (const [name, file] of files()) {
    for (let size = 1; size < 200; size++) {
      const { segments } = await readCapture(file, size)
      assert.equal(textOf(segments, 0), 'abcdef', `${name} ${size}`)
    }
  }
})

test('a file cut anywhere gives what is before and names the place', async () => {
  for (const [name, file] of files()) {
    let clean = 0
    for (let size = 1; size < file.length; size++) {
      const { segments, code, message } = await readCapture(file.subarray(0, size))
      assert.ok('abcdef'.startsWith(textOf(segments, 0)))
      if (code === '') clean += 1
      else assert.ok(/^made: [^\n]*byte \d+/.test(message) || code === 'NOT_A_CAPTURE', message)
      assert.ok(['', 'CAPTURE_TRUNCATED', 'NOT_A_CAPTURE'].includes(code), `${name} ${size}: ${code}`)
    }
    // Ends between two records cannot be told from the end of the file.
    assert.equal(clean, name === 'pcap' ? 5 : 6)
  }
})

test('no capture at all', async () => {
  assert.equal((await readCapture(Buffer.alloc(0), 1)).code, 'EMPTY_FILE')
  for (const bytes of [
    Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'),
    Buffer.alloc(1000),
    Buffer.from('GET'),
  ]) {
    assert.equal((await readCapture(bytes)).code, 'NOT_A_CAPTURE')
    assert.equal((await readCapture(bytes, 1)).code, 'NOT_A_CAPTURE')
  }
})

test('lengths no link carries end the reading there', async () => {
  const b = new Blocks()
  const record = Buffer.alloc(16, 0xff)
  const cases: Buffer[] = [
    Buffer.concat([pcap([frame]), record, Buffer.alloc(100)]),
    Buffer.concat([b.section(), b.face(1), b.packet(0, 0n, frame), b.u32(6, 0xffffffff), Buffer.alloc(100)]),
    Buffer.concat([b.section(), b.face(1), b.packet(0, 0n, frame), b.u32(6, 8), Buffer.alloc(100)]),
    Buffer.concat([b.section(), b.face(1), b.packet(0, 0n, frame), b.u32(6, 33), Buffer.alloc(100)]),
    Buffer.concat([b.section(), b.face(1), b.packet(0, 0n, frame), b.packet(7, 0n, frame)]),
    Buffer.concat([b.section(), b.face(1), b.packet(0, 0n, frame), b.block(0x0a0d0d0a, Buffer.alloc(16))]),
  ]
  for (const file of cases) {
    const { segments, code, message } = await readCapture(file)
    assert.equal(code, 'CAPTURE_BROKEN')
    assert.match(message, /^made: .* at byte \d+; everything before it was read$/)
    assert.equal(textOf(segments, 0), 'hello')
  }
})

test('a packet block that says more than it holds gives what it holds', async () => {
  const b = new Blocks()
  const lying = b.block(6, b.u32(0, 0, 0, 60_000, 60_000), frame)
  const { segments, code } = await readCapture(Buffer.concat([b.section(), b.face(1), lying]))
  assert.equal(code, '')
  assert.equal(textOf(segments, 0), 'hello')
})

test('a file of any bytes behind a true header is read or refused, never a crash', async () => {
  let seed = 12_345
  const random = () => (seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0)
  for (const [, file] of files()) {
    for (let round = 0; round < 300; round++) {
      const changed = Buffer.from(file)
      for (let i = 0; i < 6; i++) changed[random() % file.length] = random() >> 9
      const { code } = await readCapture(changed)
      assert.ok(['', 'CAPTURE_TRUNCATED', 'CAPTURE_BROKEN', 'NOT_A_CAPTURE'].includes(code), code)
    }
  }
})
