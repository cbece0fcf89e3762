/** A capture file as a source of segments. */
import type { Readable } from 'node:stream'
import type { SegmentSource } from '../../core/ports/source.js'
import type { CoverageRow } from '../../core/rows.js'
import type { Segment } from '../../core/segment.js'
import { readBlocks } from './blocks.js'
import { CaptureParser, type PacketRecord } from './capture_file.js'
import { Dissector } from './dissect.js'
import { isLoss, SkipCounter } from './skipped.js'
import { TcpTracker } from './tcp.js'
import { UdpTracker } from './udp.js'

export interface PcapSourceOptions {
  /** What messages call the file. */
  readonly name: string
  /** Called about once per block with the bytes of the file (packed, where it is) read so far. */
  readonly onProgress: (bytesRead: number) => void
  /** The payloads of a batch are valid only until the next batch is asked for; for those who read and forget. */
  readonly reuseMemory: boolean
}

/**
 * Memory stays bounded whatever the size of the file: a block, what TCP holds back, and the table of connections. A file
 * that is cut or broken gives everything before the place, then `batches` throws a KlartextError that names it.
 */
export class PcapSource implements SegmentSource {
  readonly #input: string | Readable
  readonly #options: PcapSourceOptions
  readonly #skipped = new SkipCounter()
  /** Read so far. */
  packets = 0
  #lastUs = 0

  constructor(input: string | Readable, options: Partial<PcapSourceOptions> = {}) {
    this.#input = input
    const name = typeof input === 'string' ? input : 'standard input'
    this.#options = { name, onProgress: () => {}, reuseMemory: false, ...options }
  }

  async *batches(signal?: AbortSignal): AsyncGenerator<Segment[]> {
    const out: Segment[] = []
    const tcp = new TcpTracker(out, this.#skipped)
    const udp = new UdpTracker(out, this.#skipped)
    const handler = { tcp: tcp.packet.bind(tcp), udp: udp.packet.bind(udp) }
    const dissector = new Dissector(handler, this.#skipped)
    const { name, onProgress, reuseMemory } = this.#options
    const parser = new CaptureParser(name)
    const onPacket = (packet: PacketRecord) => {
      this.packets += 1
      this.#lastUs = packet.timeUs
      dissector.packet(packet)
    }
    let failure: unknown = null
    try {
      for await (const block of readBlocks(this.#input, {
        name,
        onProgress,
        rest: () => parser.rest,
        reuse: reuseMemory,
        signal,
      })) {
        if (signal?.aborted) break
        parser.parse(block, onPacket)
        if (out.length > 0) yield out.splice(0)
      }
      if (!signal?.aborted) parser.end()
    } catch (error) {
      failure = error
    }
    dissector.finish()
    tcp.finish()
    if (out.length > 0) yield out.splice(0)
    if (failure !== null) throw failure
  }

  /** One row per reason, sums since the start. */
  coverage(): CoverageRow[] {
    return [...this.#skipped.packets].map(([reason, count]) => ({
      ts: this.#lastUs,
      cluster: '',
      node: '',
      kind: isLoss(reason) ? 'loss' : 'bytes',
      subject: 'pcap',
      pid: 0,
      container: '',
      state: '',
      reason,
      detail: '',
      bytes: this.#skipped.bytes.get(reason) ?? 0,
      count,
    }))
  }
}
