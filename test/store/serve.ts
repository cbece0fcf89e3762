/** The embedded engine as a ClickHouse server in a process of its own: `node serve.js FOLDER`. Says its URL; ends by SIGTERM. */
import { serveStore } from './served_store.js'

const served = await serveStore(process.argv[2])
console.log(served.url)
// Nothing else keeps it running.
const running = setInterval(() => {}, 1 << 30)
process.on('SIGTERM', () => void served.close().then(() => clearInterval(running)))
