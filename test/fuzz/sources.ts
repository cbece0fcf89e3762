/** What the fuzzer starts from: the goldens of a protocol and the captures of its groups, each as the segments of one connection. */
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Protocol } from '../../services/core/protocol.js'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import type { Segment } from '../../services/core/segment.js'
import { readGoldens, segmentsOf } from '../../services/decode/golden/golden.js'
import { connectionsOf } from '../corpus/connections.js'
import { corpusFiles } from '../corpus/corpus.js'

export type Source = readonly Segment[]

const FILE_BYTES_MAX = 256 * 1024
const STREAM_BYTES_MAX = 32 * 1024
const STREAMS_MAX = 200

export async function sourcesOf(protocol: Protocol): Promise<Source[]> {
  const folder = join(REPO_ROOT, 'services/decode/protocols', protocol.name, 'golden')
  const goldens = existsSync(folder) ? readGoldens(folder).map(segmentsOf) : []
  const groups = new Set([protocol.name, ...Object.keys(protocol.privacy)])
  const streams: Source[] = []
  for (const file of corpusFiles(...groups)) {
    if (statSync(file.fullPath).size > FILE_BYTES_MAX) continue
    for (const connection of await connectionsOf(file.fullPath)) {
      const bytes = connection.reduce((sum, segment) => sum + segment.length, 0)
      if (bytes > 0 && bytes <= STREAM_BYTES_MAX && streams.length < STREAMS_MAX) streams.push(connection)
    }
  }
  return [...goldens, ...streams]
}
