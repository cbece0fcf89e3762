/**
 * The three requests that kafkajs's own are not good enough for: Produce and Fetch, to encode and decode records as bytes
 * that are looked at once, and OffsetFetch 7, which can be asked for offsets that no open transaction may still change
 * (KIP-447, `require_stable`).
 */
import type { CommittedOffset, TopicPartition } from '../../core/ports/bus.js'
import type { ProtocolRequest } from './broker.js'
import { protocolError } from './kafkajs.js'
import type { AbortedTransaction } from './record_reader.js'
import { AnswerBytes, RequestBytes } from './wire.js'

/** API key and version of what is built here; kafkajs finds the rest by itself. */
export const OWN_REQUESTS = { Produce: [0, 7], Fetch: [1, 11], OffsetFetch: [9, 7] } as const

const ALL_REPLICAS = -1
const READ_COMMITTED = 1

function request<Answer>(
  apiName: keyof typeof OWN_REQUESTS,
  body: RequestBytes,
  decode: (answer: AnswerBytes) => Answer,
  requestTimeout?: number,
): ProtocolRequest<Answer> {
  const [apiKey, apiVersion] = OWN_REQUESTS[apiName]
  return {
    request: { apiKey, apiVersion, apiName, encode: async () => body },
    response: { decode: async (bytes) => decode(new AnswerBytes(bytes)), parse: async (answer) => answer },
    logResponseError: false,
    ...(requestTimeout === undefined ? {} : { requestTimeout }),
  }
}

function check(errorCode: number): void {
  if (errorCode !== 0) throw protocolError(errorCode)
}

/** One batch for one partition; answers the offset of its first record, -1n where it was there already. */
export function produceRequest(
  { topic, partition }: TopicPartition,
  transactionalId: string | null,
  batch: Buffer,
  timeoutMs: number,
): ProtocolRequest<bigint> {
  const body = new RequestBytes().text(transactionalId).int16(ALL_REPLICAS).int32(timeoutMs)
  body.int32(1).text(topic).int32(1).int32(partition).bytes(batch)
  return request('Produce', body, (answer) => {
    answer.int32()
    answer.text()
    answer.int32()
    answer.int32()
    check(answer.int16())
    return answer.int64()
  })
}

export interface FetchPosition extends TopicPartition {
  readonly offset: bigint
}

export interface FetchedPartition extends TopicPartition {
  readonly errorCode: number
  /** Offset behind the last record that may be read. */
  readonly stableOffset: bigint
  readonly startOffset: bigint
  readonly aborted: readonly AbortedTransaction[]
  /** Record batches; a view into the answer. */
  readonly bytes: Buffer
}

export function fetchRequest(
  positions: readonly FetchPosition[],
  waitMs: number,
  bytesMax: number,
  partitionBytesMax: number,
): ProtocolRequest<FetchedPartition[]> {
  const body = new RequestBytes().int32(-1).int32(waitMs).int32(1).int32(bytesMax).int8(READ_COMMITTED)
  // No fetch session.
  body.int32(0).int32(-1)
  const topics = new Map<string, FetchPosition[]>()
  for (const position of positions) {
    const known = topics.get(position.topic)
    if (known === undefined) topics.set(position.topic, [position])
    else known.push(position)
  }
  body.int32(topics.size)
  for (const [topic, partitions] of topics) {
    body.text(topic).int32(partitions.length)
    for (const { partition, offset } of partitions) {
      body.int32(partition).int32(-1).int64(offset).int64(-1n).int32(partitionBytesMax)
    }
  }
  body.int32(0).text('')
  return request('Fetch', body, readFetched, waitMs + 10_000)
}

function readFetched(answer: AnswerBytes): FetchedPartition[] {
  const fetched: FetchedPartition[] = []
  answer.int32()
  check(answer.int16())
  answer.int32()
  for (let topics = answer.int32(); topics > 0; topics--) {
    const topic = answer.text()
    for (let partitions = answer.int32(); partitions > 0; partitions--) {
      const partition = answer.int32()
      const errorCode = answer.int16()
      answer.int64()
      const stableOffset = answer.int64()
      const startOffset = answer.int64()
      const aborted: AbortedTransaction[] = []
      for (let count = answer.int32(); count > 0; count--) {
        aborted.push({ producerId: answer.int64(), firstOffset: answer.int64() })
      }
      answer.int32()
      fetched.push({ topic, partition, errorCode, stableOffset, startOffset, aborted, bytes: answer.bytes() })
    }
  }
  return fetched
}

/**
 * What a group committed for the partitions, in their order. With `isStable` it fails (UNSTABLE_OFFSET_COMMIT) while a
 * transaction that is to change one of them is open or being ended.
 */
export function offsetFetchRequest(
  groupId: string,
  topic: string,
  partitions: readonly number[],
  isStable: boolean,
): ProtocolRequest<CommittedOffset[]> {
  // The first byte ends the request header of flexible versions.
  const body = new RequestBytes().noTags().compactText(groupId).unsignedVarint(2).compactText(topic)
  body.unsignedVarint(partitions.length + 1)
  for (const partition of partitions) body.int32(partition)
  body
    .noTags()
    .int8(isStable ? 1 : 0)
    .noTags()
  return request('OffsetFetch', body, (answer) => {
    const found = new Map<number, CommittedOffset>()
    answer.skipTags()
    answer.int32()
    for (let topics = answer.unsignedVarint() - 1; topics > 0; topics--) {
      answer.compactText()
      for (let count = answer.unsignedVarint() - 1; count > 0; count--) {
        const partition = answer.int32()
        const offset = answer.int64()
        answer.int32()
        const metadata = answer.compactText()
        check(answer.int16())
        answer.skipTags()
        found.set(partition, { offset, metadata })
      }
      answer.skipTags()
    }
    check(answer.int16())
    return partitions.map((partition) => found.get(partition) ?? { offset: -1n, metadata: '' })
  })
}
