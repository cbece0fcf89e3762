import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { LogPiece } from '../../core/ports/segment_log.js'
import type { ReplayPart } from '../../core/replay.js'
import { ConnectionInfo, Segment } from '../../core/segment.js'
import { SegmentBatchWriter } from '../../core/wire/segment_batch.js'
import { processMark } from '../system/process_mark.js'
import { isBeingRecorded, recordedFiles, SegmentRecording } from './recording.js'
import { ArchiveSegmentLog } from './segment_log.js'
import { ArchiveWriter } from './writer.js'

const MB = 1 << 20
const folder = mkdtempSync(join(tmpdir(), 'klartext-recording-'))
after(() => rmSync(folder, { recursive: true, force: true }))

function batch(number: number, bytes: number): Buffer {
  const writer = new SegmentBatchWriter({ cluster: '', node: '', bootId: '', capturerVersion: '', sequence: number })
  const payload = Buffer.alloc(bytes, number)
  writer.add(new Segment(new ConnectionInfo(BigInt(number)), 0, 0, bytes, payload, number, 0, 0))
  return writer.finish()
}

async function pieces(log: ArchiveSegmentLog, part: ReplayPart, from = part.start): Promise<LogPiece[]> {
  const all: LogPiece[] = []
  for await (const some of log.read(part, from)) all.push(...some)
  return all
}

function record(name: string, count: number, bytes: number): { path: string; recording: SegmentRecording } {
  const path = join(folder, name)
  let nowMs = Date.UTC(2026, 10, 24, 12)
  const recording = new SegmentRecording(path, {
    bytesMax: 16 * MB,
    nowMs: () => nowMs,
    onError: (error) => assert.fail(String(error)),
  })
  for (let i = 0; i < count; i++) {
    recording.append(batch(i, bytes))
    nowMs += 1000
  }
  return { path, recording }
}

test('the newest stay within the bound, in files that follow each other; only the owner may read them', async () => {
  const { path, recording } = record('bounded', 200, 200_000)
  const files = recordedFiles(path)
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0)
  assert.ok(bytes <= 16 * MB && bytes > 12 * MB, `${bytes} bytes kept`)
  assert.ok(files.length >= 7)
  for (const file of files) assert.equal(statSync(file.path).mode & 0o777, 0o600)
  assert.equal(isBeingRecorded(path), true)
  recording.close()
  assert.equal(isBeingRecorded(path), false)
  const log = new ArchiveSegmentLog(path)
  const [part] = await log.parts(0, Number.MAX_SAFE_INTEGER)
  const numbers = (await pieces(log, part)).map(({ bytes: data }) => data.at(-2))
  assert.equal(numbers.at(-1), 199)
  assert.deepEqual(
    numbers,
    Array.from({ length: numbers.length }, (_, i) => 200 - numbers.length + i),
  )
  assert.equal(part.endsForGood, true)
})

test('a window takes the files that may hold it, and says what is not kept any more', async () => {
  const { path, recording } = record('window', 60, 200_000)
  const files = recordedFiles(path)
  const log = new ArchiveSegmentLog(path)
  const [part] = await log.parts(files[2].begunMs * 1000 + 11e6, files[2].begunMs * 1000 + 11e6)
  assert.ok((part.files?.length ?? 0) < files.length)
  assert.ok(part.files?.some((file) => file.path === files[2].path))
  assert.equal(part.endsForGood, false)
  const early = (files[0].begunMs - 60_000) * 1000
  assert.equal((await log.parts(early, Number.MAX_SAFE_INTEGER))[0].lostBeforeUs, files[0].begunMs * 1000)
  assert.deepEqual(await log.parts(0, early), [])
  // Reading goes on from any position it has told.
  const all = await pieces(log, part)
  for (const { next } of all) {
    const rest = await pieces(log, part, next)
    assert.deepEqual(
      rest.map(({ position }) => position),
      all.map(({ position }) => position).filter((at) => at >= next),
    )
  }
  recording.close()
})

test('the end is frozen: what is appended later is not read; a file that is gone is said to be', async () => {
  const { path, recording } = record('frozen', 20, 200_000)
  const log = new ArchiveSegmentLog(path)
  const [part] = await log.parts(0, Number.MAX_SAFE_INTEGER)
  const before = (await pieces(log, part)).length
  assert.equal(before, 20)
  for (let i = 0; i < 20; i++) recording.append(batch(100 + i, 200_000))
  recording.close()
  assert.equal((await pieces(log, part)).length, before)
  rmSync(part.files?.[0].path ?? '')
  await assert.rejects(pieces(log, part), { code: 'EXPIRED' })
})

test('files that are cut or broken give what is before, and one piece that cannot be read', async () => {
  const { path, recording } = record('broken', 30, 200_000)
  recording.close()
  const files = recordedFiles(path)
  truncateSync(files[0].path, files[0].bytes - 1000)
  const log = new ArchiveSegmentLog(path)
  const [part] = await log.parts(0, Number.MAX_SAFE_INTEGER)
  const all = await pieces(log, part)
  assert.equal(all.filter(({ bytes }) => bytes.length === 0).length, 1)
  assert.equal(all.length, 30)
  assert.equal(all.at(-1)?.next, part.stop)
})

test('on a full disk recording stops, counts what it lost, and begins again', () => {
  const path = join(folder, 'full')
  let nowMs = Date.UTC(2026, 10, 24, 12)
  const errors: string[] = []
  const onError = (error: unknown) => errors.push((error as Error).message)
  const recording = new SegmentRecording(path, { bytesMax: 16 * MB, nowMs: () => nowMs, onError })
  recording.append(batch(1, 100))
  // A folder in place of the file that comes next: it cannot be written.
  const room = () => recordedFiles(path).length
  rmSync(path, { recursive: true })
  writeFileSync(path, '')
  for (let i = 0; i < 40; i++) recording.append(batch(2, 60_000))
  assert.equal(errors.length, 1)
  assert.match(errors[0], /full/)
  assert.ok(recording.lostBatches > 0 && recording.lostBytes > recording.lostBatches * 60_000)
  rmSync(path)
  const again = new SegmentRecording(path, { bytesMax: 16 * MB, nowMs: () => nowMs, onError })
  nowMs += 6_000
  const before = recording.lostBatches
  recording.append(batch(3, 60_000))
  assert.equal(recording.lostBatches, before)
  assert.equal(room(), 1)
  assert.throws(() => new SegmentRecording(path, { bytesMax: 16 * MB, nowMs: () => nowMs, onError }), {
    code: 'UNWRITABLE',
  })
  again.close()
  recording.close()
  assert.deepEqual(
    readdirSync(path).filter((name) => !name.endsWith('.ktseg')),
    [],
  )
})

test('a folder that a killed process held is free, also where a new one has its number; one that is held is not', () => {
  const path = join(folder, 'held')
  const options = { bytesMax: 16 * MB, nowMs: Date.now, onError: () => {} }
  const recording = new SegmentRecording(path, options)
  assert.throws(() => new SegmentRecording(path, options), { code: 'UNWRITABLE', message: /another process records/ })
  const [pid, start] = processMark().split(' ')
  writeFileSync(join(path, 'recording'), `${pid} ${Number(start) - 1}`)
  assert.equal(isBeingRecorded(path), false)
  new SegmentRecording(path, options).close()
  recording.close()
})

test('an archive is its owner’s alone, also where the file was there for everybody', () => {
  const path = join(folder, 'open.ktseg')
  writeFileSync(path, 'x'.repeat(100_000), { mode: 0o644 })
  new ArchiveWriter(path).close()
  const { mode, size } = statSync(path)
  assert.equal(mode & 0o777, 0o600)
  assert.ok(size < 10_000)
})
