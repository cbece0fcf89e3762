/**
 * A capture in a process of its own, which a test can stop and kill: prints a line when it runs; SIGTERM ends it, and its
 * last line is what came through. argv: NativeSourceOptions as JSON.
 */
import { NativeSource } from '../../services/capture/native_source.js'
import type { Segment } from '../../services/core/segment.js'
import { missingOf, streamsOf } from './streams.js'

export interface Recorded {
  /** Bytes of payload. */
  readonly delivered: number
  /** By reason, where there was a loss. */
  readonly lost: Record<string, { count: number; bytes: number }>
  /** Of TLS, each direction of each connection: bytes delivered, bytes that its positions show to be missing, where it ended. */
  readonly streams: { delivered: number; missing: number; closedAt: number | null }[]
}

const source = new NativeSource(JSON.parse(process.argv[2]))
source.start()
const segments: Segment[] = []
const reading = (async () => {
  for await (const batch of source.batches()) segments.push(...batch)
})()
process.once('SIGTERM', async () => {
  await source.stop()
  await reading
  const tls = segments.filter(({ connection }) => connection.source === 'openssl')
  const bytesOf = (some: readonly Segment[]) => some.reduce((sum, { payload }) => sum + payload.length, 0)
  const recorded: Recorded = {
    delivered: bytesOf(tls),
    lost: Object.fromEntries(Object.entries(source.stats()?.lost ?? {}).filter(([, { count }]) => count > 0)),
    streams: streamsOf(tls).map((stream) => ({
      delivered: bytesOf(stream.segments),
      missing: missingOf(stream),
      closedAt: stream.closedAt,
    })),
  }
  process.stdout.write(`${JSON.stringify(recorded)}\n`)
})
process.stdout.write('running\n')
