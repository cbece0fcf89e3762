/**
 * The capturer as it runs on a node: a process of its own that drains to Avro batches and hands them on. Says `ready` once
 * libssl is hooked. SIGTERM ends it; its last line is what it counted. argv: `emulated` or `conventional` placement.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { NativeSource } from '../../../services/capture/native_source.js'

const placement = process.argv[2] === 'conventional' ? 'conventional' : 'emulated'
const source = new NativeSource({ placement })
source.start()
let bytes = 0
const reading = (async () => {
  for await (const batch of source.rawBatches()) bytes += batch.length
})()
process.once('SIGTERM', async () => {
  await source.stop()
  await reading
  const stats = source.stats()
  const lost = Object.entries(stats?.lost ?? {}).filter(([reason]) => reason !== 'muted')
  const lostBytes = lost.reduce((sum, [, count]) => sum + count.bytes, 0)
  process.stdout.write(`${JSON.stringify({ segments: stats?.segments ?? 0, bytes, lostBytes })}\n`)
})
setInterval(() => {}, 1 << 30).unref()
while (!source.libraries().some(({ path, hooked }) => hooked && path.includes('libssl.so'))) await sleep(20)
process.stdout.write('ready\n')
