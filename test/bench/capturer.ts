/** The thin capturer as a process of its own: drains to Avro batches, lets them go. For the capture bench. */
import { NativeSource } from '../../services/capture/native_source.js'

const source = new NativeSource({
  placement: process.argv[2] === 'conventional' ? 'conventional' : 'emulated',
  plain: false,
})
source.start()
let bytes = 0
const reading = (async () => {
  for await (const batch of source.rawBatches()) bytes += batch.length
})()
process.once('SIGTERM', async () => {
  await source.stop()
  await reading
  const { user, system } = process.cpuUsage()
  const stats = source.stats()
  const lost = Object.entries(stats?.lost ?? {}).filter(([reason]) => reason !== 'muted')
  const lostBytes = lost.reduce((sum, [, count]) => sum + count.bytes, 0)
  process.stdout.write(
    `${JSON.stringify({ cpuUs: user + system, segments: stats?.segments, bytes, lostBytes, rss: process.memoryUsage.rss() })}\n`,
  )
  process.exit(0)
})
setTimeout(() => process.stdout.write('ready\n'), 300)
setInterval(() => {}, 1 << 30)
