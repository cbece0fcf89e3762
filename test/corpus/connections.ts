/** The connections of a capture, each as its segments in the order in which they came. */
import { PcapSource } from '../../services/adapters/pcap/source.js'
import type { Segment } from '../../services/core/segment.js'

/** As far as the file can be read: damaged ones end early. */
export async function connectionsOf(path: string): Promise<Segment[][]> {
  const connections = new Map<bigint, Segment[]>()
  try {
    for await (const batch of new PcapSource(path).batches()) {
      for (const segment of batch) {
        const { id } = segment.connection
        const known = connections.get(id)
        if (known === undefined) connections.set(id, [segment])
        else known.push(segment)
      }
    }
  } catch (error) {
    if ((error as { code?: string }).code === undefined) throw error
  }
  return [...connections.values()]
}
