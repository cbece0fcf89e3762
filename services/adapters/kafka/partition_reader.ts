/** Reads one partition outside of any group. */
import { KlartextError } from '../../core/errors.js'
import type { BusRecord } from '../../core/ports/bus.js'
import type { KafkaClient } from './client.js'
import { protocolError } from './kafkajs.js'
import { RecordReader } from './record_reader.js'
import { fetchRequest } from './requests.js'

const EARLIEST = -2
const LATEST = -1
const READ_COMMITTED = 1
const WAIT_MS = 500
const FETCH_BYTES_MAX = 8 << 20

/** Offset of the oldest record, or that behind the last one that may be read (all before it are decided). */
async function edge(client: KafkaClient, topic: string, partition: number, timestamp: number): Promise<bigint> {
  return client.retry(`offsets of ${topic}/${partition}`, async () => {
    const leader = await client.leader(topic, partition)
    const topics = [{ topic, partitions: [{ partition, timestamp }] }]
    const { responses } = await leader.listOffsets({ replicaId: -1, isolationLevel: READ_COMMITTED, topics })
    return BigInt(responses[0].partitions[0].offset)
  })
}

export function startOffset(client: KafkaClient, topic: string, partition: number): Promise<bigint> {
  return edge(client, topic, partition, EARLIEST)
}

export function endOffset(client: KafkaClient, topic: string, partition: number): Promise<bigint> {
  return edge(client, topic, partition, LATEST)
}

/** Committed records from the start to the end at the time of the call. */
export async function readPartition(
  client: KafkaClient,
  topic: string,
  partition: number,
  take: (records: readonly BusRecord[]) => void,
): Promise<void> {
  const end = await endOffset(client, topic, partition)
  let offset = await startOffset(client, topic, partition)
  while (offset < end) {
    const request = fetchRequest([{ topic, partition, offset }], WAIT_MS, FETCH_BYTES_MAX, FETCH_BYTES_MAX)
    const [fetched] = await client.retry(`reading ${topic}/${partition}`, async () => {
      const answer = await (await client.leader(topic, partition)).connectionPool.send(request)
      if (answer[0].errorCode !== 0) throw protocolError(answer[0].errorCode)
      return answer
    })
    const next = RecordReader.end(fetched.bytes)
    if (next === null) {
      throw new KlartextError(
        'BAD_BATCH',
        `${topic}/${partition}: nothing to read at ${offset}, before the end at ${end}`,
      )
    }
    const reader = new RecordReader(topic, partition, fetched.bytes, offset, fetched.aborted)
    const records: BusRecord[] = []
    for (let record = reader.next(); record !== null && record.offset < end; record = reader.next())
      records.push(record)
    if (records.length > 0) take(records)
    offset = next
  }
}
