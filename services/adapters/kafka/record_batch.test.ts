import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { compressFrameSync } from 'lz4-napi'
import type { BusMessage, BusRecord } from '../../core/ports/bus.js'
import { crc32c } from './crc32c.js'
import { ATTRIBUTES_AT, BATCH_HEAD_BYTES, CONTROL, CRC_AT, encodeBatch, TRANSACTIONAL } from './record_batch.js'
import { RecordReader } from './record_reader.js'

const identity = { producerId: 7n, producerEpoch: 1, sequence: 3, isTransactional: false }
const message = (text: string): BusMessage => ({ key: null, value: Buffer.from(text), timestampMs: 1_700_000_000_000 })

function at(batch: Buffer, baseOffset: bigint): Buffer {
  const copy = Buffer.from(batch)
  copy.writeBigInt64BE(baseOffset, 0)
  return copy
}

/** The same batch with other attributes and body, its checksum made new. */
function remade(batch: Buffer, attributes: number, body: Buffer): Buffer {
  const copy = Buffer.concat([batch.subarray(0, BATCH_HEAD_BYTES), body])
  copy.writeInt32BE(copy.length - 12, 8)
  copy.writeInt16BE(attributes, ATTRIBUTES_AT)
  copy.writeUInt32BE(crc32c(copy, ATTRIBUTES_AT, copy.length), CRC_AT)
  return copy
}

function readAll(bytes: Buffer, from = 0n, aborted: { producerId: bigint; firstOffset: bigint }[] = []): BusRecord[] {
  const reader = new RecordReader('t', 0, bytes, from, aborted)
  const records: BusRecord[] = []
  for (let record = reader.next(); record !== null; record = reader.next()) records.push(record)
  return records
}

const texts = (records: readonly BusRecord[]) => records.map(({ value }) => value.toString())

test('CRC-32C of the known examples (RFC 3720, B.4)', () => {
  assert.equal(crc32c(Buffer.alloc(32), 0, 32), 0x8a9136aa)
  assert.equal(crc32c(Buffer.alloc(32, 0xff), 0, 32), 0x62a8ab43)
  assert.equal(crc32c(Buffer.from(Array.from({ length: 32 }, (_, i) => i)), 0, 32), 0x46dd794e)
  assert.equal(crc32c(Buffer.from('x123456789y'), 1, 10), 0xe3069283)
})

test('what is written is read again: keys, headers, times, an empty value and none, with and without lz4', async () => {
  const messages: BusMessage[] = [
    {
      key: Buffer.from('k'),
      value: Buffer.from([0, 255]),
      headers: { a: 'ü', '': '' },
      timestampMs: 1_700_000_000_123,
    },
    { key: Buffer.alloc(0), value: Buffer.alloc(0), timestampMs: 1_700_000_000_000 },
    { key: Buffer.from('deleted'), value: null, timestampMs: 1_700_000_000_000 },
    { key: null, value: Buffer.from('x'.repeat(100_000)), timestampMs: 1_700_000_900_000 },
  ]
  for (const compression of ['none', 'lz4'] as const) {
    const batch = await encodeBatch(messages, identity, compression, 0)
    assert.equal(batch.length < 10_000, compression === 'lz4')
    const records = readAll(at(batch, 40n))
    assert.deepEqual(
      records.map(({ offset, key, value, timestampMs, headers }) => ({
        offset,
        key,
        value,
        timestampMs,
        headers: { ...headers },
      })),
      messages.map((each, i) => ({
        offset: 40n + BigInt(i),
        key: each.key,
        value: each.value ?? Buffer.alloc(0),
        timestampMs: each.timestampMs,
        headers: { ...each.headers },
      })),
    )
  }
})

test('gzip and lz4 of others, snappy in both framings', async () => {
  const batch = await encodeBatch([message('hello hello hello')], identity, 'none', 0)
  const body = batch.subarray(BATCH_HEAD_BYTES)
  // One literal: length as varint, tag with length - 1, bytes (snappy format description, 2.1).
  const snappy = Buffer.concat([Buffer.from([body.length, (body.length - 1) << 2]), body])
  const size = Buffer.alloc(4)
  size.writeInt32BE(snappy.length)
  const xerial = Buffer.concat([Buffer.from('82534e41505059000000000100000001', 'hex'), size, snappy])
  for (const [codec, packed] of [
    [1, gzipSync(body)],
    [2, snappy],
    [2, xerial],
    [3, compressFrameSync(body)],
  ] as const) {
    assert.deepEqual(texts(readAll(remade(batch, codec, packed))), ['hello hello hello'])
  }
})

test('aborted transactions and ends of transactions are left out, their offsets passed', async () => {
  const open = { ...identity, isTransactional: true }
  const control = (base: bigint, type: number, batch: Buffer) => {
    const body = Buffer.from([0x10, 0, 0, 0, 8, 0, 0, 0, type, 1, 0])
    const made = remade(at(batch, base), TRANSACTIONAL | CONTROL, body)
    made.writeInt32BE(0, 23)
    made.writeInt32BE(1, 57)
    return remade(made, TRANSACTIONAL | CONTROL, body)
  }
  const ofOpen = await encodeBatch([message('gone'), message('gone')], open, 'none', 0)
  const other = await encodeBatch([message('kept')], { ...open, producerId: 8n }, 'none', 0)
  const later = await encodeBatch([message('later')], open, 'none', 0)
  const bytes = Buffer.concat([
    at(ofOpen, 10n),
    at(other, 12n),
    control(13n, 0, ofOpen),
    control(14n, 1, other),
    at(later, 15n),
  ])
  const records = readAll(bytes, 10n, [{ producerId: 7n, firstOffset: 10n }])
  assert.deepEqual(texts(records), ['kept', 'later'])
  assert.equal(RecordReader.end(bytes), 16n)
  assert.deepEqual(texts(readAll(bytes, 13n, [])), ['later'])
})

test('a cut batch at the end is left for the next fetch', async () => {
  const one = at(await encodeBatch([message('a'), message('b')], identity, 'none', 0), 0n)
  const two = at(await encodeBatch([message('c')], identity, 'none', 0), 2n)
  for (let size = one.length; size < one.length + two.length; size++) {
    const bytes = Buffer.concat([one, two]).subarray(0, size)
    assert.deepEqual(texts(readAll(bytes, 1n)), ['b'])
    assert.equal(RecordReader.end(bytes), 2n)
  }
  assert.equal(RecordReader.end(one.subarray(0, one.length - 1)), null)
})

test('a damaged batch is an error that names the place, never a wrong record', async () => {
  const whole = at(await encodeBatch([message('abc'), message('def')], identity, 'none', 0), 5n)
  for (let i = 16; i < whole.length; i++) {
    const damaged = Buffer.from(whole)
    damaged[i] ^= 0x10
    assert.throws(() => readAll(damaged, 5n), { code: 'BAD_BATCH', message: /t\/0 near offset 5/ }, `byte ${i}`)
  }
  // A right checksum around wrong contents.
  const body = whole.subarray(BATCH_HEAD_BYTES)
  for (let i = 0; i < body.length; i++) {
    const damaged = Buffer.from(body)
    damaged[i] = 0xff
    try {
      readAll(remade(whole, 0, damaged), 5n)
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'BAD_BATCH', `${error}`)
    }
  }
  for (const codec of [1, 2, 3, 4, 5]) {
    assert.throws(() => readAll(remade(whole, codec, body), 5n), { code: 'BAD_BATCH' }, `codec ${codec}`)
  }
})
