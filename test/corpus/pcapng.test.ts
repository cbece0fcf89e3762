/** Captures through an archive into pcapng and back: addresses, bytes, positions and times; tshark reads the result. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { ArchiveSource } from '../../services/adapters/archive/reader.js'
import { ArchiveWriter } from '../../services/adapters/archive/writer.js'
import { PcapSource } from '../../services/adapters/pcap/source.js'
import { PcapngWriter } from '../../services/adapters/pcap/writer.js'
import type { SegmentSource } from '../../services/core/ports/source.js'
import type { Segment } from '../../services/core/segment.js'
import { SegmentBatchWriter } from '../../services/core/wire/segment_batch.js'
import { corpusFiles, NO_CORPUS } from './corpus.js'

const folder = mkdtempSync(join(tmpdir(), 'klartext-convert-'))
after(() => rmSync(folder, { recursive: true, force: true }))

async function* segmentsOf(source: SegmentSource): AsyncGenerator<Segment[]> {
  try {
    yield* source.batches()
  } catch (error) {
    if ((error as { code?: string }).code === undefined) throw error
  }
}

/** For each pair of ends and direction, in order: what passed, where, when. */
async function contents(source: SegmentSource): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>()
  for await (const batch of segmentsOf(source)) {
    for (const { connection, direction, position, payload, timeUs, timeRestNs } of batch) {
      const client = `${connection.clientIp}:${connection.clientPort}`
      const server = `${connection.serverIp}:${connection.serverPort}`
      const ends = direction === 0 ? `${client} > ${server}` : `${server} > ${client}`
      const name = `${connection.transport} ${ends}`
      const lines = found.get(name) ?? []
      found.set(name, lines)
      // Cut as the writer cuts packets, so that both sides have the same pieces.
      for (let at = 0; at < payload.length; at += connection.transport === 'tcp' ? 1440 : payload.length) {
        const end = connection.transport === 'tcp' ? at + 1440 : payload.length
        lines.push(`${position + at} ${timeUs}.${timeRestNs} ${payload.toString('latin1', at, end)}`)
      }
    }
  }
  for (const [name, lines] of found) if (lines.length === 0) found.delete(name)
  return found
}

async function convert(capture: string): Promise<{ archive: string; pcapng: string }> {
  const [archive, pcapng] = [join(folder, 'a.ktseg'), join(folder, 'b.pcapng')]
  const writer = new ArchiveWriter(archive)
  const batch = new SegmentBatchWriter({ cluster: '', node: '', bootId: '', capturerVersion: '1', sequence: 0 })
  for await (const segments of segmentsOf(new PcapSource(capture))) {
    for (const segment of segments) batch.add(segment)
    writer.append(batch.finish())
  }
  writer.close()
  const packets = new PcapngWriter(pcapng)
  for await (const segments of new ArchiveSource(archive).batches()) packets.write(segments)
  packets.close()
  return { archive, pcapng }
}

/**
 * Joined mid-way, positions begin at the first byte seen; where that was lost for one end only, its first position cannot be
 * told from the packets alone. So positions are compared against the first of their direction.
 */
function fromFirst(contents: Map<string, string[]>): [string, string[]][] {
  return [...contents]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, lines]) => {
      const first = Number(lines[0].split(' ', 1)[0])
      return [name, lines.map((line) => line.replace(/^\d+/, (position) => String(Number(position) - first)))]
    })
}

const NO_TSHARK = spawnSync('tshark', ['--version']).status === 0 ? false : 'tshark is not installed'

test('capture to archive to pcapng keeps addresses, bytes, positions and times', { skip: NO_CORPUS }, async (t) => {
  let files = 0
  for (const file of corpusFiles('http1', 'tcp-reassembly', 'dns', 'smtp')) {
    const { archive, pcapng } = await convert(file.fullPath)
    const original = await contents(new PcapSource(file.fullPath))
    assert.deepEqual(await contents(new ArchiveSource(archive)), original, file.path)
    assert.deepEqual(fromFirst(await contents(new PcapSource(pcapng))), fromFirst(original), file.path)
    files += 1
  }
  t.diagnostic(`${files} captures there and back`)
  assert.ok(files > 150)
})

/** tshark takes half a second to start: some captures, not all. */
const TSHARK_FILES = 20

test('tshark reads what was written: nothing malformed, good checksums, the same bytes', {
  skip: NO_CORPUS || NO_TSHARK,
}, async (t) => {
  const files = corpusFiles('http1')
  let [streams, packets] = [0, 0]
  for (let i = 0; i < TSHARK_FILES; i++) {
    const file = files[Math.floor((i * files.length) / TSHARK_FILES)]
    const { pcapng } = await convert(file.fullPath)
    const theirs = new Map<string, Map<number, string>>()
    for (const packet of tshark(pcapng)) {
      packets += 1
      assert.equal(packet.malformed, '', file.path)
      assert.match(packet.checksums, /^1? 1$/, file.path)
      if (packet.payload === '') continue
      const pieces = theirs.get(packet.direction) ?? new Map<number, string>()
      theirs.set(packet.direction, pieces.set(packet.seq, packet.payload))
    }
    const inOrder = (pieces: Map<number, string>) => [...pieces].sort(([a], [b]) => a - b).map(([, hex]) => hex)
    const found = [...theirs.values()].map((pieces) => sha1(Buffer.from(inOrder(pieces).join(''), 'hex')))
    const ours = await tcpDirections(file.fullPath)
    assert.deepEqual(found.sort(), ours.map(sha1).sort(), file.path)
    streams += found.length
  }
  t.diagnostic(`${packets} packets, ${streams} directions equal`)
  assert.ok(packets > 1000 && streams > 30)
})

function tshark(path: string) {
  const fields = ['tcp.stream', 'tcp.srcport', 'tcp.seq', 'tcp.payload', '_ws.malformed', 'ip.checksum.status']
  const words = ['-r', path, '-T', 'fields', ...fields.flatMap((name) => ['-e', name]), '-e', 'tcp.checksum.status']
  for (const layer of ['ip', 'tcp', 'udp']) words.push('-o', `${layer}.check_checksum:TRUE`)
  // What is inside is not judged: some captures carry malformed HTTP.
  words.push('-Y', 'tcp', '--disable-protocol', 'http', '--disable-protocol', 'tls')
  const out = execFileSync('tshark', words, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    maxBuffer: 1 << 30,
  })
  return out
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      const [stream, port, seq, payload, malformed, ip, tcp] = line.split('\t')
      return { direction: `${stream} ${port}`, seq: Number(seq), payload, malformed, checksums: `${ip} ${tcp}` }
    })
}

async function tcpDirections(path: string): Promise<Buffer[]> {
  const found = new Map<string, Buffer[]>()
  for await (const batch of segmentsOf(new PcapSource(path))) {
    for (const { connection, direction, payload } of batch) {
      if (connection.transport !== 'tcp' || payload.length === 0) continue
      const name = `${connection.id} ${direction}`
      found.set(name, [...(found.get(name) ?? []), Buffer.from(payload)])
    }
  }
  return [...found.values()].map((parts) => Buffer.concat(parts))
}

function sha1(bytes: Buffer): string {
  return createHash('sha1').update(bytes).digest('hex')
}
