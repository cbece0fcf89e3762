/** HTTP/2 calls one by one and eight at once, and unary gRPC calls. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Http2Shape, recordHttp2, writeHttp2Capture } from './http2_capture.js'
import { sideBySide } from './side_by_side.js'

const TSHARK_SHARE = 0.1
const SHAPES: Readonly<Record<Http2Shape, string>> = {
  calls: 'calls one by one',
  parallel: 'calls, eight at once',
  grpc: 'gRPC calls, eight at once',
}

export async function main(words: readonly string[]): Promise<number> {
  const megabytes = Number(words[0] ?? 100)
  const folder = mkdtempSync(join(tmpdir(), 'klartext-bench-'))
  try {
    for (const [shape, label] of Object.entries(SHAPES) as [Http2Shape, string][]) {
      const recordings = await recordHttp2(shape)
      const [path, smallPath] = [join(folder, 'large.pcap'), join(folder, 'small.pcap')]
      await sideBySide({
        label,
        things: 'exchanges',
        path,
        exchanges: writeHttp2Capture(path, recordings, megabytes * 1e6),
        smallPath,
        smallExchanges: writeHttp2Capture(smallPath, recordings, megabytes * 1e6 * TSHARK_SHARE),
        tshark:
          '-d tcp.port==8080,http2 -Y http2 -T fields -e frame.time_epoch -e tcp.stream -e http2.streamid' +
          ' -e http2.headers.method -e http2.headers.path -e http2.headers.status -e grpc.message_length',
        columns: 'ts,conn_id,exchange_seq,method,resource,status_code,req_bytes,resp_bytes',
      })
    }
    return 0
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
