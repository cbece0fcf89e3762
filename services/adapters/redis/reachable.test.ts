import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import { mustAnswer } from './reachable.js'

test('something that listens and says nothing, or hangs up, is no Redis: one line without the password', async () => {
  const sockets: Socket[] = []
  const silent = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1')
  const rude = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1')
  await Promise.all([once(silent, 'listening'), once(rude, 'listening')])
  for (const server of [silent, rude]) {
    const { port } = server.address() as AddressInfo
    await assert.rejects(mustAnswer(`redis://u:hidden@127.0.0.1:${port}`, 100), ({ code, message, retryable }) => {
      assert.equal(code, 'REDIS_UNREACHABLE')
      assert.equal(retryable, true)
      assert.match(message, new RegExp(`^127\\.0\\.0\\.1:${port}: [^\\n]+$`))
      return !message.includes('hidden')
    })
    server.close()
  }
  for (const socket of sockets) socket.destroy()
})
