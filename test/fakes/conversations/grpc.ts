/** gRPC over one long-lived HTTP/2 connection: calls side by side, some of them streams that stay open over many turns. */
import type { Random } from '../../../services/core/random.js'
import { answer, ask, type Conversation, type Said } from './conversation.js'
import { type Field, HpackWriter } from './hpack_writer.js'

const DATA = 0
const HEADERS = 1
const SETTINGS = 4
const PING = 6
const END_STREAM = 1
const ACK = 1
const END_HEADERS = 4
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
const METHODS = ['Get', 'List', 'Add', 'Remove', 'Search', 'Watch', 'Price', 'Stock']
const STREAMS_MAX = 6

function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** Compressed flag, length, message. */
function message(bytes: number): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(bytes, 1)
  return Buffer.concat([head, Buffer.alloc(bytes, 'm')])
}

export class GrpcConversation implements Conversation {
  readonly #random: Random
  readonly #name: string
  readonly #toServer = new HpackWriter()
  readonly #toClient = new HpackWriter()
  #nextStream = 1
  /** Streams whose answer has begun and goes on. */
  #open: number[] = []
  exchanges = 0

  constructor(random: Random, name: string) {
    this.#random = random
    this.#name = name
  }

  turn(): Said[] {
    const random = this.#random
    const said = this.#nextStream === 1 ? this.#begin() : []
    const begun: number[] = []
    for (let count = 1 + random.below(3); count > 0 && this.#open.length + begun.length < STREAMS_MAX; count--) {
      begun.push(this.#nextStream)
      said.push(ask(this.#request()))
    }
    if (random.chance(0.05)) {
      said.push(ask(frame(PING, 0, 0, Buffer.alloc(8))), answer(frame(PING, ACK, 0, Buffer.alloc(8))))
    }
    // Answers come in any order, and in parts.
    const streams = [...begun, ...this.#open].sort(() => random.next() - 0.5)
    for (const stream of streams) {
      const parts = begun.includes(stream) ? [this.#answerHead(stream)] : []
      parts.push(frame(DATA, 0, stream, message(random.below(700))))
      if (random.chance(0.7)) parts.push(this.#trailers(stream))
      else if (!this.#open.includes(stream)) this.#open.push(stream)
      said.push(answer(...parts))
    }
    return said
  }

  #begin(): Said[] {
    return [
      ask(PREFACE, frame(SETTINGS, 0, 0)),
      answer(frame(SETTINGS, 0, 0), frame(SETTINGS, ACK, 0)),
      ask(frame(SETTINGS, ACK, 0)),
    ]
  }

  #request(): Buffer {
    const random = this.#random
    const stream = this.#nextStream
    this.#nextStream += 2
    this.exchanges += 1
    const fields: Field[] = [
      [':method', 'POST'],
      [':scheme', 'http'],
      [':path', `/shop.${this.#name}/${random.pick(METHODS)}`],
      [':authority', `${this.#name}.shop.svc:50051`],
      ['content-type', 'application/grpc'],
      ['user-agent', 'grpc-node-js/1.9'],
      ['te', 'trailers'],
      ['authorization', `Bearer ${'t'.repeat(120)}${random.below(4)}`],
      ['x-request-id', `${this.#name}-${this.exchanges}`],
    ]
    const head = frame(HEADERS, END_HEADERS, stream, this.#toServer.block(fields))
    return Buffer.concat([head, frame(DATA, END_STREAM, stream, message(random.below(500)))])
  }

  #answerHead(stream: number): Buffer {
    const fields: Field[] = [
      [':status', '200'],
      ['content-type', 'application/grpc'],
      ['x-served-by', `pod-${this.#random.below(5)}`],
    ]
    return frame(HEADERS, END_HEADERS, stream, this.#toClient.block(fields))
  }

  #trailers(stream: number): Buffer {
    const random = this.#random
    this.#open = this.#open.filter((each) => each !== stream)
    const failed = random.chance(0.1)
    const fields: Field[] = [
      ['grpc-status', failed ? String(1 + random.below(16)) : '0'],
      ...(failed ? [['grpc-message', `no ${random.below(100)}`] as const] : []),
    ]
    return frame(HEADERS, END_HEADERS | END_STREAM, stream, this.#toClient.block(fields))
  }

  finish(): Said[] {
    return this.#open.map((stream) => answer(this.#trailers(stream)))
  }
}
