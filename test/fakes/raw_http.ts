/** What an HTTP server meets beside requests. */
import { once } from 'node:events'
import { connect, Server } from 'node:net'
import type { TestContext } from 'node:test'

/** Keeps the servers that are made to listen from now on. */
export function listeningServers(t: TestContext): Server[] {
  const servers: Server[] = []
  const { listen } = Server.prototype
  t.mock.method(Server.prototype, 'listen', function (this: Server, ...args: unknown[]) {
    servers.push(this)
    return Reflect.apply(listen, this, args)
  })
  return servers
}

/** All that is answered to these bytes until the other end hangs up. */
export async function answerTo(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1').setEncoding('latin1')
  let answer = ''
  socket.on('data', (text: string) => {
    answer += text
  })
  socket.write(bytes)
  await once(socket, 'close')
  return answer
}
