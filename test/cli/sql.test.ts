/** `klartext sql` against a server: what a person sees when it refuses, breaks off, or is not there. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { REPO_ROOT } from '../../services/core/repo_root.js'

const COMMAND = join(REPO_ROOT, 'services/cli/bin/klartext.mjs')

async function sql(url: string): Promise<{ code: number; out: string; err: string }> {
  const child = spawn(process.execPath, [COMMAND, 'sql', 'SELECT 1'], { env: { ...process.env, CLICKHOUSE_URL: url } })
  let [out, err] = ['', '']
  child.stdout.on('data', (data) => (out += data))
  child.stderr.on('data', (data) => (err += data))
  const [code] = (await once(child, 'close')) as [number]
  return { code, out, err }
}

async function serving<T>(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  use: (port: number) => Promise<T>,
): Promise<T> {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  try {
    return await use((server.address() as AddressInfo).port)
  } finally {
    server.closeAllConnections()
    server.close()
  }
}

test('an error names the server and not the password; an answer that breaks off is an error', async () => {
  let asked = ''
  const refused = await serving(
    (request, response) => {
      asked = request.url ?? ''
      response.writeHead(500, { 'X-ClickHouse-Exception-Code': '62' })
      response.end('Code: 62. DB::Exception: Syntax error. (SYNTAX_ERROR)')
    },
    (port) => sql(`http://somebody:hidden-word@127.0.0.1:${port}`),
  )
  assert.equal(refused.code, 1)
  assert.match(refused.err, /^http:\/\/127\.0\.0\.1:\d+: code 62: [^\n]+\n$/)
  assert.doesNotMatch(refused.err, /hidden-word/)
  // Of a server that is asked so, an error in the middle is the whole answer.
  assert.match(asked, /[?&]wait_end_of_query=1(&|$)/)

  const broken = await serving(
    (_request, response) => {
      response.writeHead(200)
      response.write('1\n', () => setTimeout(() => response.destroy(), 20))
    },
    (port) => sql(`http://127.0.0.1:${port}`),
  )
  assert.equal(broken.code, 1)
  assert.equal(broken.out, '')

  const nonsense = await sql('ftp://somebody:hidden-word@host')
  assert.equal(nonsense.code, 2)
  assert.equal(nonsense.err, 'CLICKHOUSE_URL takes an address such as http://user:password@host:8123\n')
})
