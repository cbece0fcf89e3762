/** Exchanges per second of the pipeline alone: keep-alive requests and answers in segments as a capturer delivers them. */
import { ConnectionInfo, Segment, SegmentFlag, TO_CLIENT, TO_SERVER } from '../../../core/segment.js'
import { flowToJson } from '../../../core/wire/flow_json.js'
import { DecodePipeline } from '../../pipeline.js'
import { defaultPolicy, FlowPolicy } from '../../policy.js'
import { PROTOCOLS } from '../registry.js'

const CONNECTIONS = 100
const PER_CONNECTION = 2000
const ROUNDS = 5
const BATCH = 512
const START_US = 1_790_000_000_000_000

type Shape = 'same heads' | 'heads differ' | 'browser heads' | '64 KiB bodies'

function traffic(shape: Shape, perConnection: number): Segment[] {
  const segments: Segment[] = []
  const infos = Array.from({ length: CONNECTIONS }, (_, i) => {
    const info = new ConnectionInfo(BigInt(i + 1))
    Object.assign(info, {
      clientIp: '10.0.0.1',
      clientPort: 1024 + i,
      serverIp: '10.0.0.2',
      serverPort: 80,
      source: 'openssl',
    })
    return info
  })
  const positions = infos.map(() => [0, 0])
  const body = 'x'.repeat(shape === '64 KiB bodies' ? 65_536 : 200)
  const browser =
    'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\nAccept-Language: en-US,en;q=0.5\r\n' +
    'Accept-Encoding: gzip, deflate, br\r\nConnection: keep-alive\r\nCookie: a=1; b=22; c=333; session=0123456789abcdef\r\n' +
    'Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n'
  let timeUs = START_US
  const say = (i: number, direction: 0 | 1, text: string) => {
    for (let at = 0; at < text.length; at += 16_384) {
      const payload = Buffer.from(text.slice(at, at + 16_384), 'latin1')
      const flags = positions[i][direction] === 0 ? SegmentFlag.OPEN : 0
      segments.push(
        new Segment(infos[i], direction, positions[i][direction], payload.length, payload, (timeUs += 7), 0, flags),
      )
      positions[i][direction] += payload.length
    }
  }
  for (let n = 0; n < perConnection; n++) {
    for (let i = 0; i < CONNECTIONS; i++) {
      const id = shape === 'same heads' ? '' : `X-Request-Id: ${n}-${i}\r\n`
      const more = shape === 'browser heads' ? browser : ''
      say(
        i,
        TO_SERVER,
        `GET /items/${n % 1000} HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: bench/1\r\nAccept: */*\r\n${id}${more}\r\n`,
      )
      say(
        i,
        TO_CLIENT,
        `HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Mon, 23 Nov 2026 00:00:00 GMT\r\nContent-Type: application/json\r\n${id}Content-Length: ${body.length}\r\n\r\n${body}`,
      )
    }
  }
  return segments
}

interface Round {
  readonly flows: number
  /** CPU time of this process, garbage collection included: other load does not count. */
  readonly us: number
  readonly bytes: number
}

function run(segments: Segment[], json: boolean, level: 'full' | 'metadata'): Round {
  let flows = 0
  let bytes = 0
  const pipeline = new DecodePipeline({
    protocols: PROTOCOLS,
    policy: new FlowPolicy(defaultPolicy(level)),
    onFlow: (flow) => {
      flows += 1
      if (json) bytes += flowToJson(flow).length
    },
    onConnection: () => {},
  })
  const begun = process.cpuUsage()
  for (let i = 0; i < segments.length; i += BATCH) pipeline.push(segments.slice(i, i + BATCH))
  pipeline.finish()
  const { user, system } = process.cpuUsage(begun)
  return { flows, us: user + system, bytes }
}

const SHAPES: readonly Shape[] = ['same heads', 'heads differ', 'browser heads', '64 KiB bodies']

export function main(shapes: readonly Shape[] = SHAPES): number {
  console.log('pipeline alone, CPU time; best and median of 5 rounds')
  for (const shape of shapes) {
    const segments = traffic(shape, shape === '64 KiB bodies' ? 40 : PER_CONNECTION)
    const bytes = segments.reduce((sum, segment) => sum + segment.length, 0)
    for (const [name, json, level] of [
      ['flows', false, 'full'],
      ['flows, metadata', false, 'metadata'],
      ['flows as JSON', true, 'full'],
    ] as const) {
      const rounds = Array.from({ length: ROUNDS }, () => run(segments, json, level)).sort((a, b) => a.us - b.us)
      const [best, median] = [rounds[0], rounds[ROUNDS >> 1]]
      const rate = (round: typeof best) => `${Math.round((round.flows / round.us) * 1000)} k/s`
      console.log(
        `${shape.padEnd(14)} ${name.padEnd(16)} ${rate(best).padStart(9)} ${rate(median).padStart(9)}  ` +
          `${(median.us / median.flows).toFixed(2)} µs per exchange, ${Math.round(bytes / median.us)} MB/s`,
      )
    }
  }
  return 0
}
