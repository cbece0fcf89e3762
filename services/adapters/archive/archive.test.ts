import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { after, test } from 'node:test'
import avro from 'avsc'
import { typeWithBigInt } from '../../../test/fakes/avro_long.js'
import { ConnectionInfo, type Direction, Segment } from '../../core/segment.js'
import { SegmentBatchWriter } from '../../core/wire/segment_batch.js'
import { CODECS } from './format.js'
import { ArchiveSource } from './reader.js'
import { ArchiveWriter } from './writer.js'

const folder = mkdtempSync(join(tmpdir(), 'klartext-archive-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const HEADER = { cluster: 'c', node: 'n', bootId: 'b', capturerVersion: '1', sequence: 0 }

function segment(text: string, i: number): Segment {
  const info = new ConnectionInfo(BigInt(i))
  Object.assign(info, { clientIp: '10.0.0.1', clientPort: 1000 + i, serverIp: '2001:db8::1', cluster: 'c', node: 'n' })
  return new Segment(
    info,
    (i % 2) as Direction,
    i,
    text.length,
    Buffer.from(text),
    1_790_000_000_000_000 + i,
    i % 1000,
    0,
  )
}

const BATCHES = [
  [segment('ab', 1), segment('cd', 2)],
  [segment('x'.repeat(5000), 3)],
  [segment('', 4), segment('e', 5)],
]

function write(name: string, codec: 'null' | 'deflate' = 'null', skip = -1): string {
  const path = join(folder, name)
  const archive = new ArchiveWriter(path, { codec })
  const batch = new SegmentBatchWriter(HEADER)
  for (const [i, segments] of BATCHES.entries()) {
    for (const each of segments) batch.add(each)
    const bytes = batch.finish()
    if (i !== skip) archive.append(bytes)
  }
  archive.close()
  assert.equal(archive.bytes, statSync(path).size)
  return path
}

interface Result {
  readonly batches: Segment[][]
  readonly code: string
  readonly message: string
  readonly source: ArchiveSource
}

async function read(input: string | Readable): Promise<Result> {
  const batches: Segment[][] = []
  const source = new ArchiveSource(input)
  try {
    for await (const batch of source.batches()) batches.push(batch)
  } catch (error) {
    const { code, message } = error as Error & { code: string }
    return { batches, code, message, source }
  }
  return { batches, code: '', message: '', source }
}

/** In pieces of `size` bytes. */
const pieces = (bytes: Buffer, size: number) =>
  Readable.from(
    Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size)),
  )

for (const codec of CODECS) {
  test(`${codec}: what is written is read, and by avsc too`, async () => {
    const path = write(`${codec}.ktseg`, codec)
    assert.deepEqual((await read(path)).batches, BATCHES)
    assert.equal(statSync(path).mode & 0o077, 0)
    const decoder = avro.createFileDecoder(path, { parseHook: typeWithBigInt })
    const records: { sequence: bigint; segments: { payload: Buffer }[] }[] = []
    for await (const record of decoder) records.push(record as (typeof records)[0])
    assert.deepEqual(
      records.map((each) => each.sequence),
      [0n, 1n, 2n],
    )
    assert.equal(records[1].segments[0].payload.toString(), 'x'.repeat(5000))
  })

  test(`${codec}: bytes may come in any pieces`, async () => {
    const bytes = readFileSync(write(`${codec}.ktseg`, codec))
    for (const size of [1, 7, 100, 4096]) assert.deepEqual((await read(pieces(bytes, size))).batches, BATCHES)
  })

  test(`${codec}: a file cut anywhere gives its whole blocks and names the place`, async () => {
    const bytes = readFileSync(write(`${codec}.ktseg`, codec))
    let clean = 0
    for (let size = 1; size < bytes.length; size += size > 3400 && size < bytes.length - 300 ? 97 : 1) {
      const { batches, code, message } = await read(Readable.from([bytes.subarray(0, size)]))
      assert.deepEqual(batches, BATCHES.slice(0, batches.length))
      if (code === '') clean += 1
      else {
        assert.equal(code, 'CAPTURE_TRUNCATED', message)
        assert.match(
          message,
          /^standard input: cut inside [^\n]* that starts at byte \d+; everything before it was read$/,
        )
      }
    }
    assert.ok(clean <= 3)
  })
}

test('archives of other Avro writers: several batches in a block, deflated', async () => {
  const path = join(folder, 'other.avro')
  const original = avro.createFileDecoder(write('first.ktseg'), { parseHook: typeWithBigInt })
  const records: unknown[] = []
  let type: avro.Type | undefined
  original.on('metadata', (found: avro.Type) => (type = found))
  for await (const record of original) records.push(record)
  const chunks: Buffer[] = []
  const encoder = new avro.streams.BlockEncoder(type as avro.Type, { codec: 'deflate' })
  encoder.on('data', (chunk: Buffer) => chunks.push(chunk))
  for (const record of records) encoder.write(record)
  encoder.end()
  await new Promise((resolve) => encoder.on('end', resolve))
  writeFileSync(path, Buffer.concat(chunks))
  const { batches, code, message } = await read(path)
  assert.equal(code, '', message)
  assert.deepEqual(batches, BATCHES)
})

test('batches that the capturer dropped are counted by the jump of the number', async () => {
  const { batches, source } = await read(write('lost.ktseg', 'null', 1))
  assert.equal(batches.length, 2)
  assert.deepEqual(
    source.coverage().map((row) => [row.kind, row.reason, row.count]),
    [['loss', 'lost_batch', 1]],
  )
})

test('a damaged block is named; those before it were given', async () => {
  const path = write('damaged.ktseg')
  const bytes = readFileSync(path)
  const marker = bytes.subarray(bytes.length - 16)
  const blocks: number[] = []
  for (let at = bytes.indexOf(marker); at >= 0; at = bytes.indexOf(marker, at + 1)) blocks.push(at + 16)
  assert.equal(blocks.length, 4)
  const damage = async (change: (copy: Buffer) => void) => {
    const copy = Buffer.from(bytes)
    change(copy)
    return await read(Readable.from([copy]))
  }
  const noMarker = await damage((copy) => copy.fill(0, blocks[2] - 8, blocks[2]))
  assert.deepEqual([noMarker.batches.length, noMarker.code], [1, 'CAPTURE_BROKEN'])
  assert.match(noMarker.message, new RegExp(`block without its end marker at byte ${blocks[1]};`))
  const badBatch = await damage((copy) => copy.fill(0xff, blocks[1] + 3, blocks[1] + 4))
  assert.deepEqual([badBatch.batches.length, badBatch.code], [1, 'CAPTURE_BROKEN'])
  assert.match(badBatch.message, new RegExp(`block at byte ${blocks[1]}, byte \\d+ of \\d+: [^\n]+; everything before`))
  const huge = Buffer.from([2, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1])
  const tooLong = await damage((copy) => huge.copy(copy, blocks[1]))
  assert.deepEqual([tooLong.batches.length, tooLong.code], [1, 'CAPTURE_BROKEN'])
})

test('no archive of segments', async () => {
  const cases: [Buffer, string][] = [
    [Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'), 'NOT_A_CAPTURE'],
    [Buffer.from('Obj\x01'), 'CAPTURE_TRUNCATED'],
    [Buffer.concat([Buffer.from('Obj\x01'), Buffer.alloc(2 << 20, 0x7e)]), 'CAPTURE_BROKEN'],
    [Buffer.concat([Buffer.from('Obj\x01\x00'), Buffer.alloc(16)]), 'NOT_A_CAPTURE'],
  ]
  for (const [bytes, code] of cases) assert.equal((await read(Readable.from([bytes]))).code, code)
  assert.equal((await read(Readable.from([]))).code, 'EMPTY_FILE')
  assert.equal((await read(join(folder, 'missing'))).code, 'UNREADABLE')
  const zstd = readFileSync(write('null.ktseg')).toString('latin1').replace('\x08null', '\x08zstd')
  assert.equal((await read(Readable.from([Buffer.from(zstd, 'latin1')]))).code, 'CAPTURE_BROKEN')
})

test('what cannot be written is one line', () => {
  assert.throws(() => new ArchiveWriter(join(folder, 'no/such/folder')), { code: 'UNWRITABLE' })
  const full = new ArchiveWriter('/dev/null')
  full.append(new SegmentBatchWriter(HEADER).finish())
  full.close()
})
