/** A way to a server that can be closed, cut, and made to lose answers: whoever asked then does not know what was done. */
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

/**
 * `open`: as if it were not there. `closed`: nobody comes through. `deaf`: what is asked arrives, and with the answer the
 * connection breaks; `torn`: in the middle of the answer.
 */
export type ProxyState = 'open' | 'closed' | 'deaf' | 'torn'

export class Proxy {
  readonly #server: Server
  readonly #pairs = new Map<Socket, Socket>()
  state: ProxyState = 'open'
  /** Where to; before that is known nobody comes through. */
  targetPort = 0
  /** Connections that were broken. */
  cuts = 0

  private constructor(server: Server) {
    this.#server = server
    server.on('connection', (client: Socket) => this.#connect(client))
  }

  static async start(): Promise<Proxy> {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new Proxy(server)
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port
  }

  #connect(client: Socket): void {
    if (this.state === 'closed' || this.targetPort === 0) return void client.destroy()
    const upstream = connect({ host: '127.0.0.1', port: this.targetPort })
    this.#pairs.set(client, upstream)
    const end = () => {
      this.#pairs.delete(client)
      client.destroy()
      upstream.destroy()
    }
    for (const socket of [client, upstream]) socket.setNoDelay(true).on('error', end).on('close', end)
    client.pipe(upstream)
    upstream.on('data', (data: Buffer) => {
      if (this.state === 'deaf' || this.state === 'torn') {
        this.cuts += 1
        if (this.state === 'deaf') return end()
        upstream.destroy()
        return void client.end(data.subarray(0, data.length >> 1))
      }
      if (!client.write(data)) {
        upstream.pause()
        client.once('drain', () => upstream.resume())
      }
    })
  }

  /** Breaks all connections. */
  cut(): void {
    for (const [client, upstream] of this.#pairs) {
      this.cuts += 1
      client.destroy()
      upstream.destroy()
    }
  }

  close(): void {
    this.#server.close()
    this.cut()
  }
}
