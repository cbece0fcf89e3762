/** Traffic for the benches of the chain, as the messages that capturers publish. */
import { Random } from '../../../services/core/random.js'
import { ConnectionInfo, Segment } from '../../../services/core/segment.js'
import { SegmentBatchWriter } from '../../../services/core/wire/segment_batch.js'
import { Line } from '../../fakes/conversations/line.js'
import type { Talk } from '../../fakes/conversations/talks.js'

export const CONNECTIONS = 400
const BATCH_BYTES = 256 << 10
const HEADER = { cluster: 'bench', node: 'bench', bootId: '', capturerVersion: '0', sequence: 0 }
const BODY = '{"items":[1,2,3],"next":"/v1/items?page=2"}'.padEnd(240, ' ')

/** Keep-alive HTTP/1 as capturers publish it: one segment per call of the TLS library. `firstId`: others than before. */
export function batches(exchanges: number, firstId = 0): Buffer[] {
  const infos = Array.from({ length: CONNECTIONS }, (_, i) => {
    const info = new ConnectionInfo((BigInt(firstId + i) << 32n) | 1n)
    return Object.assign(info, {
      side: 'server',
      source: 'openssl',
      clientIp: '10.0.0.1',
      clientPort: 20_000 + i,
      serverIp: '10.99.0.1',
      serverPort: 443,
      comm: 'nginx',
    })
  })
  const positions = infos.map(() => [0, 0])
  const all: Buffer[] = []
  let writer = new SegmentBatchWriter(HEADER)
  let timeUs = Date.now() * 1000
  const say = (connection: number, direction: 0 | 1, text: string) => {
    const payload = Buffer.from(text)
    timeUs += 3
    const position = positions[connection][direction]
    writer.add(new Segment(infos[connection], direction, position, payload.length, payload, timeUs, 0, 0))
    positions[connection][direction] += payload.length
  }
  for (let i = 0; i < exchanges; i++) {
    const connection = i % CONNECTIONS
    say(
      connection,
      0,
      `GET /v1/items/${i}?page=1 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: bench/1.0\r\nAccept: application/json\r\n\r\n`,
    )
    say(
      connection,
      1,
      `HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: application/json\r\nX-Request-Id: ${i}\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`,
    )
    if (writer.payloadBytes > BATCH_BYTES) {
      all.push(writer.finish())
      writer = new SegmentBatchWriter(HEADER)
    }
  }
  if (writer.segmentCount > 0) all.push(writer.finish())
  return all
}

export interface Talks {
  readonly messages: Buffer[]
  readonly exchanges: number
}

/** `connections` long-lived conversations of one protocol, about `exchanges` in all, cut as their calls are. */
export function talks(talk: Talk, connections: number, exchanges: number): Talks {
  const random = new Random(1)
  const lines = Array.from({ length: connections }, (_, i) => new Line(random, talk, i, Number.MAX_SAFE_INTEGER))
  const messages: Buffer[] = []
  let writer = new SegmentBatchWriter(HEADER)
  let timeUs = Date.now() * 1000
  let said = 0
  for (let i = 0; said < exchanges; i++) {
    timeUs += 3
    const segment = random.pick(lines).next(timeUs)
    if (segment !== null) writer.add(segment)
    if (i % 1024 === 0) said = lines.reduce((sum, line) => sum + line.exchanges, 0)
    if (writer.payloadBytes <= BATCH_BYTES) continue
    messages.push(writer.finish())
    writer = new SegmentBatchWriter(HEADER)
  }
  if (writer.segmentCount > 0) messages.push(writer.finish())
  return { messages, exchanges: said }
}
