/** Real captures, their connections handed over again and again: the flows are those of one pipeline that saw all. */
import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { test } from 'node:test'
import { PcapSource } from '../../services/adapters/pcap/source.js'
import { Segment } from '../../services/core/segment.js'
import { PROTOCOLS } from '../../services/decode/protocols/registry.js'
import { type Rows, run } from '../fakes/hand_over.js'
import { corpusFiles, NO_CORPUS } from './corpus.js'

/** Larger ones take long and show nothing new. */
const FILE_BYTES_MAX = 1 << 20
const HANDOVERS_MAX = 200

async function segmentsOf(path: string): Promise<Segment[]> {
  const segments: Segment[] = []
  try {
    for await (const batch of new PcapSource(path).batches()) {
      for (const { connection, direction, position, length, payload, timeUs, timeRestNs, flags } of batch) {
        const own = Buffer.from(payload)
        segments.push(new Segment(connection, direction, position, length, own, timeUs, timeRestNs, flags))
      }
    }
  } catch (error) {
    // A damaged file: what came before counts.
    if ((error as { code?: string }).code === undefined) throw error
  }
  return segments
}

/** The order in which connections are closed at the end is not that in which they were opened any more. */
function sorted({ flows, connections }: Rows): unknown {
  const key = (row: { conn_id: string; exchange_seq?: number; ts: number }) =>
    `${row.conn_id} ${String(row.exchange_seq ?? '').padStart(9)} ${row.ts}`
  const byKey = (a: Parameters<typeof key>[0], b: Parameters<typeof key>[0]) => (key(a) < key(b) ? -1 : 1)
  return { flows: [...flows].sort(byKey), connections: [...connections].sort(byKey) }
}

test('handed over up to 200 times in each capture', { skip: NO_CORPUS }, async (t) => {
  let flows = 0
  let files = 0
  const names = PROTOCOLS.map(({ name }) => name)
  for (const { fullPath, path } of corpusFiles('tcp-reassembly', 'http1-evader', 'llhttp', ...names)) {
    if (statSync(fullPath).size > FILE_BYTES_MAX) continue
    const segments = await segmentsOf(fullPath)
    const every = Math.max(1, Math.ceil(segments.length / HANDOVERS_MAX))
    const stayed = run(segments, () => false)
    const handed = run(segments, (i) => i % every === 0)
    assert.deepEqual(sorted(handed), sorted(stayed), path)
    flows += stayed.flows.length
    files += 1
  }
  t.diagnostic(`${files} captures, ${flows} flows`)
  assert.ok(flows > 0)
})
