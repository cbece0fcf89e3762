import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryBus } from '../adapters/memory/bus.js'
import { SYSTEM_CLOCK } from '../adapters/system/clock.js'
import { KlartextError } from '../core/errors.js'
import type { Bus } from '../core/ports/bus.js'
import { ConnectionInfo, Segment } from '../core/segment.js'
import { createTopics, TOPICS } from '../core/topics.js'
import { SegmentBatchWriter } from '../core/wire/segment_batch.js'
import { Capturer, type CapturerSource } from './capturer.js'
import { SegmentPublisher } from './publisher.js'

function batch(): Buffer {
  const writer = new SegmentBatchWriter({ cluster: '', node: '', bootId: '', capturerVersion: '', sequence: 0 })
  writer.add(new Segment(new ConnectionInfo(1n), 0, 0, 3, Buffer.from('GET'), 1_790_000_000_000_000, 0, 0))
  return writer.finish()
}

/** Batches that are there from the start, and an end when it is stopped. */
class FakeSource implements CapturerSource {
  waitingBatches = 3
  #stop = () => {}
  readonly #stopped = new Promise<void>((resolve) => (this.#stop = resolve))
  start(): void {}
  async stop(): Promise<void> {
    this.#stop()
  }
  async *rawBatches(): AsyncGenerator<Buffer> {
    for (; this.waitingBatches > 0; this.waitingBatches--) yield batch()
    await this.#stopped
    yield batch()
  }
  coverage() {
    return []
  }
}

async function world(failure: (() => unknown) | null, drainMs: number) {
  const bus = new MemoryBus()
  await createTopics(bus, 1)
  const refusing: Bus = Object.create(bus, {
    partitions: { value: (topic: string) => bus.partitions(topic) },
    producer: {
      value: async () => ({
        ...(failure === null
          ? {
              send: async (...words: Parameters<Awaited<ReturnType<Bus['producer']>>['send']>) =>
                (await bus.producer()).send(...words),
            }
          : { send: async () => Promise.reject(failure()) }),
        close: async () => {},
      }),
    },
  })
  const publisher = new SegmentPublisher({ bus: refusing, clock: SYSTEM_CLOCK })
  await publisher.start()
  const source = new FakeSource()
  const capturer = new Capturer({
    source,
    publisher,
    clock: SYSTEM_CLOCK,
    cluster: 'c',
    node: 'n',
    coverageMs: 60_000,
    drainMs,
    onError: () => {},
    onProgress: () => {},
  })
  return { bus, publisher, source, capturer }
}

test('what was captured before the end is published, then it ends', async () => {
  const { bus, capturer, publisher } = await world(null, 5_000)
  const running = capturer.run()
  await capturer.stop()
  await running
  assert.equal(publisher.messages, 4)
  assert.equal(await bus.endOffset(TOPICS.segments, 0), 4n)
  assert.equal(capturer.unsentBytes, 0)
})

test('a bus that stays away ends the wait, and what was not sent is told', async () => {
  const away = () => new KlartextError('BUS_UNREACHABLE', 'no Kafka answers', { retryable: true })
  const { capturer, publisher } = await world(away, 50)
  const running = capturer.run()
  await capturer.stop()
  await running
  assert.equal(capturer.unsentBytes, 4 * batch().length)
  assert.equal(publisher.trouble, 'no Kafka answers')
  await publisher.close()
})

test('what the bus refuses for good ends the capturer', async () => {
  const { capturer, publisher } = await world(() => new KlartextError('UNKNOWN_TOPIC', 'no topic'), 50)
  await assert.rejects(capturer.run(), { code: 'UNKNOWN_TOPIC' })
  await publisher.close()
})
