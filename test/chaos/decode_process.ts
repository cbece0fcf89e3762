/** A decode worker as a process of its own. */
import { SYSTEM_CLOCK } from '../../services/adapters/system/clock.js'
import { defaultPolicy, FlowPolicy } from '../../services/decode/policy.js'
import { PROTOCOLS } from '../../services/decode/protocols/registry.js'
import { DecodeWorker } from '../../services/decode/worker.js'
import { live, onError } from './child.js'

await live(async (bus) => {
  const worker = new DecodeWorker({
    bus,
    clock: SYSTEM_CLOCK,
    group: 'decode',
    protocols: PROTOCOLS,
    policy: new FlowPolicy(defaultPolicy('metadata')),
    deadLetters: true,
    onError,
  })
  await worker.start()
  return worker
})
