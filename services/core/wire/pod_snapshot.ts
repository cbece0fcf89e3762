/**
 * What a worker knows of pods, as another one that starts takes it over: a head (JSON) that says which part of klartext.pods
 * it stands for, and parts with what that said and can still be seen; all of it as gzip, which has a checksum. Items of a part:
 * Avro long, µs since 1970 since when it is known; Avro bytes, a message of klartext.pods.
 */
import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'
import type { KnownPod } from '../pods.js'
import type { BusRecord } from '../ports/bus.js'
import { AvroInput, AvroOutput } from './avro.js'
import { decodePodRecord, encodePodRecord } from './pods.js'

/**
 * Another number for another layout, and where the same messages come to mean something else: what is under another number
 * is not looked at.
 */
export const POD_SNAPSHOT_FORMAT = 1
/** Of a part before it is packed: some 2500 pods, and some ms of work at a time. */
const PART_BYTES = 1 << 20
/** One item is far smaller. */
const PART_BYTES_MAX = 4 * PART_BYTES
/** Some 600 000 pods; beyond that the topic is read. */
export const POD_SNAPSHOT_PARTS_MAX = 256
/** It costs a quarter of the time of zlib's usual one, and makes a tenth more of it. */
const LEVEL = 1

const BAD = 'BAD_SNAPSHOT'
const pack = promisify(gzip)
const unpack = promisify(gunzip)

/** One record of the topic, by which it is known again. */
export interface RecordMark {
  readonly offset: bigint
  readonly timestampMs: number
  readonly digest: string
}

export interface PodSnapshotHead {
  /** Parts of one writing belong together. */
  readonly generation: string
  readonly parts: number
  /** Items in all parts. */
  readonly items: number
  /** The topic began there. */
  readonly start: bigint
  /** From there on the topic has to be read. */
  readonly next: bigint
  /** The last record before that. */
  readonly last: RecordMark
  /** What was known earlier (µs since 1970) is not complete. */
  readonly completeUs: number
  readonly savedUs: number
}

export function markOf({ offset, timestampMs = 0, key, value }: BusRecord): RecordMark {
  const hash = createHash('sha256')
  // With its length, so that nothing of the key can be taken for the value.
  hash
    .update(`${key?.length ?? -1} `)
    .update(key ?? '')
    .update(value)
  return { offset, timestampMs, digest: hash.digest('hex') }
}

export function packSnapshotHead({ start, next, last, ...head }: PodSnapshotHead): Promise<Buffer> {
  const { offset, ...mark } = last
  const texts = { start: String(start), next: String(next), last: { ...mark, offset: String(offset) } }
  return pack(JSON.stringify({ format: POD_SNAPSHOT_FORMAT, ...head, ...texts }))
}

/** Throws KlartextError `BAD_SNAPSHOT`. */
export async function unpackSnapshotHead(packed: Buffer): Promise<PodSnapshotHead> {
  const bytes = await unpacked(packed, 'the head of a pod snapshot')
  const input = new AvroInput(bytes, 'the head of a pod snapshot', BAD)
  let head: Record<string, unknown>
  let mark: Record<string, unknown>
  try {
    head = { ...JSON.parse(bytes.toString('utf8')) }
    mark = { ...(head.last as object) }
  } catch (error) {
    throw input.bad((error as Error).message)
  }
  if (head.format !== POD_SNAPSHOT_FORMAT) {
    throw input.bad(`format ${String(head.format).slice(0, 20)}, this reader knows ${POD_SNAPSHOT_FORMAT}`)
  }
  const text = (value: unknown, form: RegExp, what: string): string => {
    if (typeof value !== 'string' || !form.test(value)) throw input.bad(`no ${what}`)
    return value
  }
  const count = (value: unknown, what: string): number => {
    if (!Number.isSafeInteger(value) || (value as number) < 0) throw input.bad(`no ${what}`)
    return value as number
  }
  const offset = (value: unknown, what: string) => BigInt(text(value, /^\d{1,18}$/, what))
  const found: PodSnapshotHead = {
    generation: text(head.generation, /^[\w-]{1,64}$/, 'generation'),
    parts: count(head.parts, 'parts'),
    items: count(head.items, 'items'),
    start: offset(head.start, 'start'),
    next: offset(head.next, 'next offset'),
    last: {
      offset: offset(mark.offset, 'last offset'),
      timestampMs: count(mark.timestampMs, 'time of the last record'),
      digest: text(mark.digest, /^[0-9a-f]{64}$/, 'digest of the last record'),
    },
    completeUs: count(head.completeUs, 'beginning'),
    savedUs: count(head.savedUs, 'time'),
  }
  if (found.parts > POD_SNAPSHOT_PARTS_MAX) throw input.bad(`${found.parts} parts`)
  if (found.start > found.last.offset || found.last.offset >= found.next) throw input.bad('offsets out of order')
  return found
}

/** One after another: each is made when it is asked for. */
export async function* packSnapshot(known: readonly KnownPod[]): AsyncGenerator<Buffer> {
  for (let next = 0; next < known.length; ) {
    const out = new AvroOutput(PART_BYTES)
    for (let bytes = 0; next < known.length && bytes < PART_BYTES; next++) {
      const { knownUs, record } = known[next]
      const message = encodePodRecord(record)
      out.long(knownUs)
      out.bytes(message)
      bytes += message.length
    }
    yield await pack(out.finish(), { level: LEVEL })
  }
}

/** Throws KlartextError `BAD_SNAPSHOT`, `BAD_POD` or `SCHEMA_NEWER`. */
export async function unpackSnapshotPart(packed: Buffer): Promise<KnownPod[]> {
  const bytes = await unpacked(packed, 'a part of a pod snapshot')
  const input = new AvroInput(bytes, 'a part of a pod snapshot', BAD)
  const known: KnownPod[] = []
  while (input.remaining > 0) {
    const knownUs = input.count('time')
    known.push({ knownUs, record: decodePodRecord(input.bytes()) })
  }
  return known
}

async function unpacked(packed: Buffer, what: string): Promise<Buffer> {
  try {
    return await unpack(packed, { maxOutputLength: PART_BYTES_MAX })
  } catch (error) {
    throw new AvroInput(packed, what, BAD).bad((error as Error).message)
  }
}
