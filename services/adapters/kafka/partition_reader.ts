/** Reads one partition outside of any group. */
import { KlartextError } from '../../core/errors.js'
import type { BusRecord, RecordTime } from '../../core/ports/bus.js'
import type { KafkaClient } from './client.js'
import { protocolError } from './kafkajs.js'
import { RecordReader } from './record_reader.js'
import { fetchRequest } from './requests.js'

const EARLIEST = -2
const LATEST = -1
const READ_COMMITTED = 1
const WAIT_MS = 500
const FETCH_BYTES_MAX = 8 << 20
/** Small ones are packed to a tenth: without this, hundreds of thousands would be there at once. */
const PIECE_RECORDS_MAX = 20_000
const OFFSET_OUT_OF_RANGE = 1

/** Of the oldest record, of that behind the last one that may be read (all before it are decided), or of a time. */
async function edge(client: KafkaClient, topic: string, partition: number, timestamp: number): Promise<RecordTime> {
  return client.retry(`offsets of ${topic}/${partition}`, async () => {
    const leader = await client.leader(topic, partition)
    const topics = [{ topic, partitions: [{ partition, timestamp }] }]
    const { responses } = await leader.listOffsets({ replicaId: -1, isolationLevel: READ_COMMITTED, topics })
    const [found] = responses[0].partitions
    return { offset: BigInt(found.offset), timestampMs: Number(found.timestamp) }
  })
}

export async function startOffset(client: KafkaClient, topic: string, partition: number): Promise<bigint> {
  return (await edge(client, topic, partition, EARLIEST)).offset
}

export async function endOffset(client: KafkaClient, topic: string, partition: number): Promise<bigint> {
  return (await edge(client, topic, partition, LATEST)).offset
}

/** Null where all records are older. */
export async function offsetAt(
  client: KafkaClient,
  topic: string,
  partition: number,
  timestampMs: number,
): Promise<RecordTime | null> {
  const found = await edge(client, topic, partition, Math.max(0, Math.floor(timestampMs)))
  return found.offset < 0n ? null : found
}

/** Committed records from the start to the end at the time of the call. */
export async function readPartition(
  client: KafkaClient,
  topic: string,
  partition: number,
  take: (records: readonly BusRecord[]) => void,
): Promise<void> {
  const end = await endOffset(client, topic, partition)
  const start = await startOffset(client, topic, partition)
  for await (const records of readRange(client, topic, partition, start, end)) take(records)
}

/** Committed records of a range; the next piece is fetched while one is being used. */
export async function* readRange(
  client: KafkaClient,
  topic: string,
  partition: number,
  from: bigint,
  to: bigint,
): AsyncGenerator<readonly BusRecord[]> {
  const fetchAt = (offset: bigint) => {
    const fetched = fetchPiece(client, topic, partition, offset)
    // Whoever stops reading never asks how it went.
    fetched.catch(() => {})
    return fetched
  }
  let ahead = from < to ? fetchAt(from) : null
  for (let offset = from; ahead !== null; ) {
    const { bytes, aborted, next } = await ahead
    ahead = next < to ? fetchAt(next) : null
    const reader = new RecordReader(topic, partition, bytes, offset, aborted)
    let records: BusRecord[] = []
    for (let record = reader.next(); record !== null && record.offset < to; record = reader.next()) {
      records.push(record)
      if (records.length < PIECE_RECORDS_MAX) continue
      yield records
      records = []
    }
    if (records.length > 0) yield records
    offset = next
  }
}

/** At least one whole batch from `offset` on, and the offset behind it. */
async function fetchPiece(client: KafkaClient, topic: string, partition: number, offset: bigint) {
  const request = fetchRequest([{ topic, partition, offset }], WAIT_MS, FETCH_BYTES_MAX, FETCH_BYTES_MAX)
  return client.retry(`reading ${topic}/${partition}`, async () => {
    const [{ errorCode, bytes, aborted }] = await (await client.leader(topic, partition)).connectionPool.send(request)
    if (errorCode === OFFSET_OUT_OF_RANGE) throw await outOfRange(client, topic, partition, offset)
    if (errorCode !== 0) throw protocolError(errorCode)
    const next = RecordReader.end(bytes)
    // A leader that is new does not know yet what the one before had let be read.
    if (next === null) throw Object.assign(new Error(`nothing at ${offset} yet`), { type: 'OFFSET_NOT_AVAILABLE' })
    return { bytes, aborted, next }
  })
}

async function outOfRange(
  client: KafkaClient,
  topic: string,
  partition: number,
  offset: bigint,
): Promise<KlartextError> {
  const [start, end] = [await startOffset(client, topic, partition), await endOffset(client, topic, partition)]
  const where = `${topic}/${partition}`
  if (offset < start)
    return new KlartextError('EXPIRED', `${where}: ${offset} is not kept any more, only from ${start} on`)
  return new KlartextError('BAD_OFFSET', `${where}: there is no ${offset}, it ends at ${end}`)
}
