import { PcapSource } from '../../services/adapters/pcap/source.js'
import { type Flow, plainFlow } from '../../services/core/flow.js'
import type { ConnectionRow } from '../../services/core/rows.js'
import { DecodePipeline } from '../../services/decode/pipeline.js'
import { defaultPolicy, FlowPolicy } from '../../services/decode/policy.js'
import { PROTOCOLS } from '../../services/decode/protocols/registry.js'

export interface Decoded {
  readonly flows: Flow[]
  readonly connections: ConnectionRow[]
  readonly decoderFailures: number
  readonly broken: string | null
}

/** All flows of a capture file, whatever state the file is in. */
export async function decodeCapture(path: string): Promise<Decoded> {
  const flows: Flow[] = []
  const connections: ConnectionRow[] = []
  const pipeline = new DecodePipeline({
    protocols: PROTOCOLS,
    policy: new FlowPolicy(defaultPolicy('full')),
    onFlow: (flow) => flows.push(plainFlow(flow)),
    onConnection: (row) => connections.push(row),
  })
  let broken: string | null = null
  try {
    for await (const batch of new PcapSource(path).batches()) {
      pipeline.push(batch)
      broken ??= pipeline.checkInvariants()
    }
  } catch (error) {
    if ((error as { code?: string }).code === undefined) throw error
  }
  pipeline.finish()
  return { flows, connections, decoderFailures: pipeline.decoderFailures, broken }
}
