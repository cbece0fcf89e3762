import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { after, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { fromClient, HANDSHAKE, pcap, readCapture, textOf } from '../../../test/fakes/packets.js'
import type { Segment } from '../../core/segment.js'
import { PcapSource } from './source.js'

const folder = mkdtempSync(join(tmpdir(), 'klartext-pcap-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const PART = 'x'.repeat(1000)
/** 3 MB: several blocks. */
const capture = pcap([...HANDSHAKE, ...Array.from({ length: 3000 }, (_, i) => fromClient(100 + i * PART.length, PART))])

function file(name: string, bytes: Buffer): string {
  const path = join(folder, name)
  writeFileSync(path, bytes)
  return path
}

async function readAll(
  source: PcapSource,
): Promise<{ segments: Segment[]; batches: number; code: string; message: string }> {
  const segments: Segment[] = []
  let batches = 0
  try {
    for await (const batch of source.batches()) {
      segments.push(...batch)
      batches += 1
    }
  } catch (error) {
    const { code, message } = error as Error & { code: string }
    return { segments, batches, code, message }
  }
  return { segments, batches, code: '', message: '' }
}

test('a file, a gzip of it, and streams of both give the same segments with the same ids', async () => {
  const packed = gzipSync(capture)
  const inputs = [
    file('plain.pcap', capture),
    file('packed.pcap.gz', packed),
    Readable.from([capture.subarray(0, 1), capture.subarray(1, 100), capture.subarray(100)]),
    Readable.from([packed.subarray(0, 1), packed.subarray(1)]),
  ]
  for (const input of inputs) {
    const { segments, batches, code } = await readAll(new PcapSource(input))
    assert.equal(code, '')
    assert.equal(textOf(segments, 0).length, 3_000_000)
    assert.ok(batches >= 3 || input instanceof Readable)
    // Rows of two runs, also of two versions, are compared by this.
    assert.equal(segments[0].connection.id, 14_175_068_917_055_987_167n)
  }
})

test('progress counts the bytes of the file, packed or not', async () => {
  for (const [name, bytes] of [
    ['plain.pcap', capture],
    ['packed.pcap.gz', gzipSync(capture)],
  ] as const) {
    const seen: number[] = []
    await readAll(new PcapSource(file(name, bytes), { onProgress: (read) => seen.push(read) }))
    assert.equal(seen.at(-1), bytes.length)
    assert.deepEqual(
      seen,
      [...seen].sort((a, b) => a - b),
    )
  }
})

test('a gzip that is cut or broken gives what is before, then one line', async () => {
  const packed = gzipSync(capture, { level: 0 })
  const cut = await readAll(new PcapSource(file('cut.gz', packed.subarray(0, packed.length - 100))))
  assert.equal(cut.code, 'CAPTURE_TRUNCATED')
  assert.match(cut.message, /cut\.gz: compressed data ends at byte \d+, before its end; everything before it was read$/)
  assert.ok(cut.segments.length > 2000)
  const broken = Buffer.from(gzipSync(capture))
  broken.fill(0xff, broken.length >> 1)
  assert.equal((await readAll(new PcapSource(file('broken.gz', broken)))).code, 'CAPTURE_BROKEN')
})

test('what cannot be read is one line with the name', async () => {
  for (const path of [join(folder, 'missing.pcap'), folder]) {
    const { code, message } = await readAll(new PcapSource(path))
    assert.equal(code, 'UNREADABLE')
    assert.match(message, new RegExp(`^${path}: [^\n]+$`))
  }
})

test('a stopped reading gives what was held back and ends', async () => {
  const stop = new AbortController()
  const source = new PcapSource(file('plain.pcap', capture))
  let segments = 0
  for await (const batch of source.batches(stop.signal)) {
    segments += batch.length
    stop.abort()
  }
  assert.ok(segments > 0 && segments < 3000)
})

test('what was skipped is told by reason', async () => {
  const { source } = await readCapture(
    pcap([...HANDSHAKE, fromClient(100, 'abc'), fromClient(100, 'abc'), Buffer.alloc(60)]),
  )
  const rows = source.coverage()
  assert.deepEqual(
    rows.map((row) => [row.kind, row.subject, row.reason, row.count, row.bytes]),
    [
      ['bytes', 'pcap', 'retransmission', 1, 3],
      ['bytes', 'pcap', 'not_ip', 1, 46],
    ],
  )
})

test('memory that is used again gives the same bytes to whoever reads batch by batch, data out of order too', async () => {
  // Each pair of packets the wrong way round, one far behind all others: held back over several blocks.
  const order = Array.from({ length: 3000 }, (_, i) => i ^ 1)
  order.splice(1500, 0, ...order.splice(10, 1))
  const numbered = (i: number) => `${String(i).padStart(6, '0')}${PART}`
  const packets = order.map((i) => fromClient(100 + i * numbered(i).length, numbered(i)))
  const path = file('disorder.pcap', pcap([...HANDSHAKE, ...packets]))
  const read = async (reuseMemory: boolean): Promise<string> => {
    let text = ''
    for await (const batch of new PcapSource(path, { reuseMemory }).batches()) text += textOf(batch, 0)
    return text
  }
  const text = await read(true)
  assert.equal(text, Array.from({ length: 3000 }, (_, i) => numbered(i)).join(''))
  assert.equal(text, await read(false))
})
