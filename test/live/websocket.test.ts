/** WebSocket over TLS: aiohttp serves, aiohttp and Node's ws call; N messages are N flows at each end, with their sizes. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Flow } from '../../services/core/flow.js'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import { capture, decode, freePort, NO_CAPTURE, PYTHON, run, withCertificate } from './harness.js'

const SERVER = `
import ssl, sys
from aiohttp import web
async def echo(request):
    socket = web.WebSocketResponse(protocols=('chat.v1',), compress=False)
    await socket.prepare(request)
    async for message in socket:
        if message.type.name == 'TEXT': await socket.send_str(message.data)
        elif message.type.name == 'BINARY': await socket.send_bytes(message.data)
    return socket
app = web.Application(client_max_size=1 << 26)
app.router.add_get('/echo/{name}', echo)
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(sys.argv[2] + '/cert.pem', sys.argv[2] + '/key.pem')
web.run_app(app, host='127.0.0.1', port=int(sys.argv[1]), ssl_context=context, print=lambda *_: print('ready', flush=True))
`

/** Texts and binary messages of growing size, one at a time; the last one takes several TLS records. */
const AIOHTTP = `
import asyncio, ssl, sys, aiohttp
context = ssl.create_default_context(); context.check_hostname = False; context.verify_mode = ssl.CERT_NONE
async def main():
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect('https://127.0.0.1:%s/echo/aiohttp' % sys.argv[1], ssl=context, protocols=('chat.v1',), max_msg_size=0) as socket:
            for i in range(20):
                await socket.send_str('x' * (i + 1))
                assert (await socket.receive()).data == 'x' * (i + 1)
            for size in (0, 125, 126, 65535, 65536, 100000):
                await socket.send_bytes(b'y' * size)
                assert len((await socket.receive()).data) == size
            await socket.close(code=4001)
asyncio.run(main())
`
const NODE = `
import { createRequire } from 'node:module'
const [root, port] = process.argv.slice(2)
const WebSocket = createRequire(root + '/package.json')('ws')
const socket = new WebSocket('wss://127.0.0.1:' + port + '/echo/node', 'chat.v1', { rejectUnauthorized: false, perMessageDeflate: false })
await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
for (let i = 0; i < 30; i++) {
  const back = new Promise((resolve) => socket.once('message', resolve))
  socket.send('n'.repeat(100 + i))
  await back
}
socket.ping()
await new Promise((resolve) => socket.once('pong', resolve))
const closed = new Promise((resolve) => socket.once('close', resolve))
socket.close(1000, 'done')
await closed
`

async function serve(folder: string, port: number): Promise<ChildProcess> {
  const child = spawn(PYTHON, ['-c', SERVER, String(port), folder])
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve())
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}`)))
  })
  return child
}

function assertTalk(flows: readonly Flow[], path: string, sizes: readonly number[], closeCode: number): void {
  for (const side of ['client', 'server']) {
    const mine = flows.filter((flow) => flow.capture_side === side && flow.resource === path)
    assert.ok(
      mine.every(({ complete }) => complete === 1),
      `${path} at the ${side}`,
    )
    const [upgrade] = mine.filter(({ protocol }) => protocol === 'http1')
    assert.equal(upgrade.status_code, 101)
    const said = mine.filter(({ protocol, method }) => protocol === 'websocket' && method !== 'close')
    for (const { capture_source, host, attrs } of said) {
      assert.equal(capture_source, 'openssl')
      assert.match(host, /^127.0.0.1/)
      assert.equal(attrs['websocket.subprotocol'], 'chat.v1')
    }
    const there = said.filter(({ attrs }) => attrs['websocket.direction'] === 'to_server')
    const back = said.filter(({ attrs }) => attrs['websocket.direction'] === 'to_client')
    assert.deepEqual(
      there.map(({ req_bytes }) => req_bytes),
      sizes,
      `${path} at the ${side}, to the server`,
    )
    assert.deepEqual(
      back.map(({ resp_bytes }) => resp_bytes),
      sizes,
      `${path} at the ${side}, to the client`,
    )
    const closes = mine.filter(({ method }) => method === 'close')
    assert.equal(closes.length, 1)
    assert.equal(closes[0].status_code, closeCode)
    assert.equal(closes[0].attrs['websocket.close.by'], 'client')
    assert.equal(closes[0].attrs['websocket.messages.to_server'], String(sizes.length))
  }
}

test('messages over TLS between aiohttp and two clients', { skip: NO_CAPTURE }, async (t) => {
  await withCertificate(async (folder) => {
    const port = await freePort()
    const server = await serve(folder, port)
    try {
      writeFileSync(join(folder, 'client.mjs'), NODE)
      const { segments, stats } = await capture({}, async () => {
        await run(PYTHON, ['-c', AIOHTTP, String(port)])
        await run(process.execPath, [join(folder, 'client.mjs'), REPO_ROOT, String(port)])
      })
      assert.equal(stats.lost.ring_full.count, 0)
      const flows = decode(segments)
      const texts = Array.from({ length: 20 }, (_, i) => i + 1)
      assertTalk(flows, '/echo/aiohttp', [...texts, 0, 125, 126, 65_535, 65_536, 100_000], 4001)
      const node = Array.from({ length: 30 }, (_, i) => 100 + i)
      assertTalk(flows, '/echo/node', node, 1000)
      const pinged = flows.filter(({ method, resource }) => method === 'close' && resource === '/echo/node')
      for (const { attrs } of pinged) assert.deepEqual([attrs['websocket.pings'], attrs['websocket.pongs']], ['1', '1'])
      t.diagnostic(
        `56 messages and their echoes: ${flows.filter(({ protocol }) => protocol === 'websocket').length} flows at two ends`,
      )
    } finally {
      server.kill('SIGTERM')
    }
  })
})
