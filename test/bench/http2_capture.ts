/**
 * Captures of HTTP/2 for benches: what Node's client and server (nghttp2) say to each other, recorded once for a few
 * connections, written as the packets of many.
 */
import { once } from 'node:events'
import * as http2 from 'node:http2'
import { Duplex } from 'node:stream'
import { PacketFile } from './packet_file.js'

/** Recorded; the connections of a capture are these, again and again. */
const RECORDINGS = 16
const EXCHANGES = 1000
const PACKET_BYTES = 1400
const BODY = Buffer.from('{"items":[1,2,3],"next":"/v1/items?page=2"}'.padEnd(240, ' '))

/** `calls`: JSON over HTTP/2, one by one and eight at once; `grpc`: unary calls, eight at once. */
export type Http2Shape = 'calls' | 'parallel' | 'grpc'

interface Said {
  readonly fromClient: boolean
  readonly bytes: Buffer
}

type Recording = readonly Said[]

/** One end of a pair of streams; what is written to it is read at the other end. */
class End extends Duplex {
  other: End | null = null
  readonly #said: (bytes: Buffer) => void

  constructor(said: (bytes: Buffer) => void) {
    super()
    this.#said = said
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#said(chunk)
    this.other?.push(chunk)
    setImmediate(done)
  }

  override _final(done: () => void): void {
    this.other?.push(null)
    done()
  }
}

export async function recordHttp2(shape: Http2Shape): Promise<Recording[]> {
  const recordings: Recording[] = []
  for (let i = 0; i < RECORDINGS; i++) recordings.push(await record(shape, i))
  return recordings
}

async function record(shape: Http2Shape, connection: number): Promise<Recording> {
  const said: Said[] = []
  const [client, server] = [true, false].map(
    (fromClient) => new End((bytes) => said.push({ fromClient, bytes: Buffer.from(bytes) })),
  )
  client.other = server
  server.other = client
  const listening = http2.createServer()
  listening.on('stream', shape === 'grpc' ? answerGrpc : answer)
  listening.emit('connection', server)
  const session = http2.connect('http://shop.example', { createConnection: () => client })
  const atOnce = shape === 'calls' ? 1 : 8
  for (let i = 0; i < EXCHANGES; i += atOnce) {
    const ids = Array.from({ length: atOnce }, (_, k) => connection * EXCHANGES + i + k)
    await Promise.all(ids.map((id) => (shape === 'grpc' ? callGrpc(session, id) : call(session, id))))
  }
  session.destroy()
  return said
}

function answer(stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders): void {
  stream.respond({
    ':status': 200,
    server: 'bench',
    'content-type': 'application/json',
    'content-length': BODY.length,
    'x-request-id': headers['x-request-id'],
  })
  stream.end(BODY)
}

async function call(session: http2.ClientHttp2Session, id: number): Promise<void> {
  const stream = session.request({
    ':path': `/v1/items/${id}?page=1`,
    'user-agent': 'bench/1.0',
    accept: 'application/json',
    'x-request-id': `request-${id}`,
  })
  stream.resume()
  await once(stream, 'close')
}

const MESSAGE = Buffer.concat([Buffer.from([0, 0, 0, 0, 60]), Buffer.alloc(60, 7)])

function answerGrpc(stream: http2.ServerHttp2Stream): void {
  stream.resume()
  stream.on('end', () => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc+proto' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'grpc-message': '' }))
    stream.end(MESSAGE)
  })
}

async function callGrpc(session: http2.ClientHttp2Session, id: number): Promise<void> {
  const stream = session.request({
    ':method': 'POST',
    ':path': `/shop.Cart/${['Get', 'Add', 'Remove', 'List'][id % 4]}`,
    te: 'trailers',
    'content-type': 'application/grpc+proto',
    'user-agent': 'grpc-bench/1.0',
    'grpc-timeout': '5S',
    traceparent: `00-${id.toString(16).padStart(32, '1')}-${id.toString(16).padStart(16, '2')}-01`,
  })
  stream.end(MESSAGE)
  stream.resume()
  await once(stream, 'close')
}

/** Answers the number of exchanges. */
export function writeHttp2Capture(path: string, recordings: readonly Recording[], sizeBytes: number): number {
  const file = new PacketFile(path, 8080)
  let connections = 0
  const open: { said: Recording; at: number; connection: number }[] = []
  while (file.sizeBytes < sizeBytes || open.length > 0) {
    // As many at once as there are recordings; each is told to its end.
    while (open.length < RECORDINGS && file.sizeBytes < sizeBytes) {
      file.open(connections)
      open.push({ said: recordings[connections % RECORDINGS], at: 0, connection: connections })
      connections += 1
    }
    for (const each of [...open]) {
      const { fromClient, bytes } = each.said[each.at]
      for (let at = 0; at < bytes.length; at += PACKET_BYTES) {
        file.say(each.connection, fromClient, bytes.subarray(at, at + PACKET_BYTES))
      }
      each.at += 1
      if (each.at === each.said.length) open.splice(open.indexOf(each), 1)
    }
  }
  file.close()
  return connections * EXCHANGES
}
