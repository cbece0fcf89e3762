import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PodTable } from '../adapters/memory/pod_table.js'
import type { BusRecord } from '../core/ports/bus.js'
import { ConnectionInfo, Segment } from '../core/segment.js'
import { SegmentBatchWriter } from '../core/wire/segment_batch.js'
import { Inbox } from './inbox.js'
import type { Names } from './names.js'

const S = 1_000_000

/** A message with segments of these seconds. */
function record(offset: number, ...seconds: readonly number[]): BusRecord {
  const writer = new SegmentBatchWriter({ cluster: 'lab', node: 'n', bootId: '', capturerVersion: '', sequence: 0 })
  const info = new ConnectionInfo(1n)
  for (const second of seconds) writer.add(new Segment(info, 0, 0, 1, Buffer.from('x'), second * S, 0, 0))
  return { topic: 't', partition: 0, offset: BigInt(offset), key: null, value: writer.finish() }
}

class KnownUntil implements Names {
  readonly pods = new PodTable()
  readonly waitUs = 3 * S
  second = 0
  readonly asked: number[] = []

  isReady(cluster: string, knownUs: number): boolean {
    assert.equal(cluster, 'lab')
    this.asked.push(knownUs / S)
    return knownUs <= this.second * S
  }

  release(): void {}
}

test('messages come out in order, each as soon as enough is known of its time; what cannot be read waits for nothing', () => {
  const names = new KnownUntil()
  const inbox = new Inbox(names)
  assert.equal(inbox.neededUs, Number.POSITIVE_INFINITY)
  inbox.add(record(0, 10, 12, 11), 0)
  inbox.add({ ...record(1), value: Buffer.from('no batch') }, 0)
  inbox.add(record(2, 11), 0)
  const taken = () => {
    const offsets: bigint[] = []
    for (let message = inbox.take(); message !== null; message = inbox.take()) offsets.push(message.record.offset)
    return offsets
  }
  assert.deepEqual(taken(), [])
  assert.deepEqual(names.asked, [15])
  assert.equal(inbox.neededUs, 15 * S)
  assert.ok(inbox.bytes > 0)
  names.second = 14.9
  assert.deepEqual(taken(), [])
  names.second = 15
  assert.deepEqual(taken(), [0n, 1n, 2n])
  assert.deepEqual([inbox.bytes, inbox.size, inbox.neededUs], [0, 0, 14 * S])
})

test('without names nothing waits', () => {
  const inbox = new Inbox(null)
  inbox.add(record(0, 10), 0)
  assert.equal(inbox.take()?.knownUs, 10 * S)
  inbox.add(record(1, 10), 0)
  inbox.clear()
  assert.equal(inbox.take(), null)
})
