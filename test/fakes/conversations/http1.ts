/** HTTP/1 on one connection kept alive: bodies with a length and in chunks, pipelined at times. */
import type { Random } from '../../../services/core/random.js'
import { answer, ask, type Conversation, type Said } from './conversation.js'

const STATUS = ['200 OK', '200 OK', '200 OK', '201 Created', '404 Not Found', '500 Internal Server Error']

export class Http1Conversation implements Conversation {
  readonly #random: Random
  readonly #name: string
  exchanges = 0

  constructor(random: Random, name: string) {
    this.#random = random
    this.#name = name
  }

  turn(): Said[] {
    const count = this.#random.chance(0.1) ? 2 + this.#random.below(4) : 1
    const requests = Array.from({ length: count }, () => this.#request())
    const responses = requests.map(() => this.#response())
    return [
      ask(...requests),
      ...(this.#random.chance(0.5) ? [answer(...responses)] : responses.map((each) => answer(each))),
    ]
  }

  #request(): string {
    const random = this.#random
    const target = `/${this.#name}/items/${this.exchanges++}?page=${random.below(9)}`
    const head = `Host: ${this.#name}.shop.svc\r\nUser-Agent: client/${random.below(3)}\r\n`
    if (random.chance(0.6)) return `GET ${target} HTTP/1.1\r\n${head}\r\n`
    const body = 'b'.repeat(random.below(600))
    return `POST ${target} HTTP/1.1\r\n${head}Content-Length: ${body.length}\r\n\r\n${body}`
  }

  #response(): string {
    const random = this.#random
    const head = `HTTP/1.1 ${random.pick(STATUS)}\r\nContent-Type: application/json\r\n`
    const body = 'a'.repeat(random.below(900))
    if (random.chance(0.7)) return `${head}Content-Length: ${body.length}\r\n\r\n${body}`
    const chunks = [body.slice(0, body.length >> 1), body.slice(body.length >> 1)].filter((chunk) => chunk !== '')
    const coded = chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('')
    return `${head}Transfer-Encoding: chunked\r\n\r\n${coded}0\r\n\r\n`
  }

  finish(): Said[] {
    return []
  }
}
