/** The embedded engine's HTTP server apart from the engine. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import type { Engine } from '../../services/adapters/chdb/engine/engine.js'
import { ClickHouseHttp } from '../../services/adapters/chdb/http/server.js'
import { answerTo } from '../fakes/raw_http.js'

test('a connection that cannot be accepted is one line, what is no HTTP is answered 400, and the server goes on', async (t) => {
  const lines: string[] = []
  const options = { role: 'reader', hosts: null, insertDir: '/nowhere', version: '26', timezone: 'UTC' } as const
  // Nothing here comes as far as a statement.
  const { server } = new ClickHouseHttp({} as Engine, options)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  const write = t.mock.method(process.stderr, 'write', (line: string) => lines.push(line) > 0)
  server.emit('error', new Error('accept EMFILE'))
  write.mock.restore()
  assert.deepEqual(lines, ['klartext: a connection was not accepted: accept EMFILE\n'])
  assert.match(await answerTo(port, 'no request\r\n\r\n'), /^HTTP\/1.1 400 /)
  assert.equal((await fetch(`http://127.0.0.1:${port}/ping`)).status, 200)
  server.close()
  server.closeAllConnections()
})
