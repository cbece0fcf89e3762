/** What a program says from within a callback of its TLS library, while the library's own call is still open. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Segment } from '../../services/core/segment.js'
import { capture, NO_CAPTURE, run, withCertificate } from './harness.js'

/** Node runs `secureConnect` inside the SSL_read that ends the handshake. */
const PROGRAM = `
import net from 'node:net'
import tls from 'node:tls'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
const [folder] = process.argv.slice(2)
const file = (name) => readFileSync(folder + '/' + name)
const plain = net.createServer((socket) => socket.resume()).listen(0, '127.0.0.1')
const secure = tls.createServer({ key: file('key.pem'), cert: file('cert.pem') }, (socket) => socket.pipe(socket))
secure.listen(0, '127.0.0.1')
await Promise.all([once(plain, 'listening'), once(secure, 'listening')])
for (let i = 0; i < 10; i++) {
  const other = net.connect(plain.address().port, '127.0.0.1')
  await once(other, 'connect')
  const socket = tls.connect({ port: secure.address().port, host: '127.0.0.1', rejectUnauthorized: false })
  socket.once('secureConnect', () => {
    socket.write('within ' + i + '.')
    other.write('beside ' + i + '.')
    setImmediate(() => socket.write('after ' + i + '.'))
  })
  let echo = ''
  for await (const piece of socket) if ((echo += piece).endsWith('after ' + i + '.')) break
  socket.destroy()
  other.destroy()
}
plain.close()
secure.close()
`

test('written within a callback: to the same connection, and to another', { skip: NO_CAPTURE }, async () => {
  await withCertificate(async (folder) => {
    const program = join(folder, 'callbacks.mjs')
    writeFileSync(program, PROGRAM)
    const { segments } = await capture({}, async () => {
      await run(process.execPath, [program, folder])
    })
    const texts = new Map<string, Segment[]>()
    for (const segment of segments) {
      const { connection, direction } = segment
      const key = `${connection.source} ${connection.side} ${connection.id} ${direction}`
      texts.set(key, [...(texts.get(key) ?? []), segment])
    }
    const said = [...texts.values()].map((all) => all.map(({ payload }) => payload.toString('latin1')).join(''))
    const ours = said.filter((text) => /^(?:within|beside|after) \d\./.test(text)).sort()
    for (let i = 0; i < 10; i++) {
      // Both ways at both ends; the other socket at both of its ends.
      const asSaid = new Array(4).fill(`within ${i}.after ${i}.`)
      assert.deepEqual(
        ours.filter((text) => text.includes(` ${i}.`)),
        [...new Array(2).fill(`beside ${i}.`), ...asSaid],
      )
    }
  })
})
