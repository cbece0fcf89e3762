/** The directory as a process of its own, told by its parent what to look at; says how much memory it takes. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { KubernetesClient } from '../../../services/adapters/kubernetes/api.js'
import { SYSTEM_CLOCK } from '../../../services/adapters/system/clock.js'
import { keepHeapSmall } from '../../../services/adapters/system/small_heap.js'
import type { Bus } from '../../../services/core/ports/bus.js'
import { DirectoryService } from '../../../services/directory/service.js'

keepHeapSmall()
const [server, folder, pods] = process.argv.slice(2)
let sent = 0
/** Kafka is another process: what is sent is gone. */
const bus = {
  readAll: async () => {},
  producer: async () => ({
    send: async (_topic: string, _partition: number, messages: readonly unknown[]) => {
      sent += messages.length
      return 0n
    },
    close: async () => {},
  }),
} as unknown as Bus

const kubeconfig = join(folder, 'kubeconfig')
writeFileSync(
  kubeconfig,
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster: { server, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'u', user: {} }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  }),
)
const service = new DirectoryService({
  bus,
  api: new KubernetesClient({ kubeconfig }),
  clock: SYSTEM_CLOCK,
  cluster: 'bench',
  network: '',
  onError: (where, error) => process.send?.({ error: `${where}: ${(error as Error).message}` }),
})
await service.start()
void service.run(new AbortController().signal)
const megabytes = (kilobytes: number) => Math.round(kilobytes / 1024)

function memory(): { rssMb: number; peakMb: number } {
  const status = readFileSync('/proc/self/status', 'utf8')
  const of = (name: string) => megabytes(Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1]))
  return { rssMb: of('VmRSS'), peakMb: of('VmHWM') }
}

const begun = performance.now()
await service.directory.synced
if (service.directory.podCount !== Number(pods)) throw new Error(`${service.directory.podCount} pods`)
const listedMs = performance.now() - begun
await sleep(2000)
process.send?.({ step: 'listed', ms: listedMs, sent, ...memory() })
process.on('message', () => {
  process.send?.({ step: 'touched', ms: 0, sent, ...memory() })
  process.disconnect()
  process.exit(0)
})
