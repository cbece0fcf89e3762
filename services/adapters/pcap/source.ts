/** A capture file as a source of segments. */
import { createReadStream } from 'node:fs'
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import type { SegmentSource } from '../../core/ports/source.js'
import type { CoverageRow } from '../../core/rows.js'
import type { Segment } from '../../core/segment.js'
import { CaptureParser } from './capture_file.js'
import { Dissector } from './dissect.js'
import { SkipCounter } from './skipped.js'
import { TcpTracker } from './tcp.js'
import { UdpTracker } from './udp.js'

const BLOCK_BYTES = 1 << 20
const GZIP_MAGIC = 0x1f8b

export interface PcapSourceOptions {
  /** What messages call the file. */
  readonly name: string
  /** Called about once per block with the bytes of the file read so far. */
  readonly onProgress?: (bytesRead: number) => void
}

/**
 * Memory stays bounded whatever the size of the file: a block, what TCP holds back, and the table of connections. A file
 * that is cut or broken gives everything before the place, then `batches` throws a KlartextError that names it.
 */
export class PcapSource implements SegmentSource {
  readonly #path: string
  readonly #options: PcapSourceOptions
  readonly #skipped = new SkipCounter()
  packets = 0
  #lastUs = 0

  constructor(path: string, options: Partial<PcapSourceOptions> = {}) {
    this.#path = path
    this.#options = { name: path, ...options }
  }

  async *batches(signal?: AbortSignal): AsyncGenerator<Segment[]> {
    const out: Segment[] = []
    const tcp = new TcpTracker(out, this.#skipped)
    const udp = new UdpTracker(out, this.#skipped)
    const handler = {
      tcp: tcp.packet.bind(tcp),
      udp: udp.packet.bind(udp),
    }
    const dissector = new Dissector(handler, this.#skipped)
    const parser = new CaptureParser(this.#options.name)
    const onPacket = dissector.packet.bind(dissector)
    let failure: unknown = null
    try {
      for await (const block of this.#blocks()) {
        if (signal?.aborted) break
        parser.feed(block, (packet) => {
          this.packets += 1
          this.#lastUs = packet.timeUs
          onPacket(packet)
        })
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

  coverage(): CoverageRow[] {
    return [...this.#skipped.packets].map(([reason, count]) => ({
      ts: this.#lastUs,
      cluster: '',
      node: '',
      kind: 'loss',
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

  async *#blocks(): AsyncGenerator<Buffer> {
    const file = createReadStream(this.#path, { highWaterMark: BLOCK_BYTES })
    let read = 0
    let unzip: Readable | null = null
    try {
      const iterator = file[Symbol.asyncIterator]() as AsyncIterator<Buffer>
      const first = await iterator.next()
      if (first.done) return
      if (first.value.length >= 2 && first.value.readUInt16BE(0) === GZIP_MAGIC) {
        unzip = createReadStream(this.#path, { highWaterMark: BLOCK_BYTES }).pipe(
          createGunzip({ chunkSize: BLOCK_BYTES }),
        )
        for await (const block of unzip) yield block as Buffer
        return
      }
      for (let step: IteratorResult<Buffer> = first; !step.done; step = await iterator.next()) {
        read += step.value.length
        this.#options.onProgress?.(read)
        yield step.value
      }
    } finally {
      file.destroy()
      unzip?.destroy()
    }
  }
}
