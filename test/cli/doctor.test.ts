/** The servers that doctor looks for: one line each, no password in any, and an exit code. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { freePort } from '../../services/cli/demo/free_port.js'
import { EXIT } from '../../services/core/errors.js'
import { REPO_ROOT } from '../../services/core/repo_root.js'

async function doctor(env: Readonly<Record<string, string>>, ...words: string[]) {
  const bare = { ...process.env, KAFKA_BROKERS: '', CLICKHOUSE_URL: '', REDIS_URL: '' }
  const program = [join(REPO_ROOT, 'services/cli/bin/klartext.mjs'), 'doctor', ...words]
  const child = spawn(process.execPath, program, { env: { ...bare, ...env } })
  let [out, err] = ['', '']
  child.stdout.on('data', (data) => (out += data))
  child.stderr.on('data', (data) => (err += data))
  const [code] = await once(child, 'close')
  return { code, out, err, servers: out.split('\n').filter((line) => /^.{5}(Kafka|ClickHouse|Redis): /.test(line)) }
}

test('servers that are not there, or say nothing: one line each, and failed', async () => {
  const sockets: Socket[] = []
  const silent = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const nobody = await freePort()
  for (const port of [nobody, (silent.address() as AddressInfo).port]) {
    const { code, out, err, servers } = await doctor({
      KAFKA_BROKERS: `127.0.0.1:${port}`,
      CLICKHOUSE_URL: `http://someone:hidden@127.0.0.1:${port}`,
      REDIS_URL: `redis://someone:hidden@127.0.0.1:${port}`,
    })
    assert.equal(code, EXIT.failed)
    assert.equal(err, '')
    assert.equal(servers.length, 3, out)
    for (const line of servers)
      assert.match(line, new RegExp(`^NO   (Kafka|ClickHouse|Redis): .*127\\.0\\.0\\.1:${port}`))
    assert.ok(!out.includes('hidden'))
  }
  silent.close()
  for (const socket of sockets) socket.destroy()
})

test('servers that answer are told of; those that nobody named are not looked for', async () => {
  const redis = createServer((socket) => {
    socket.on('data', (data) => {
      for (const _ of data.toString().match(/^\*\d+/gm) ?? []) socket.write('+PONG\r\n')
    })
  }).listen(0, '127.0.0.1')
  const clickhouse = createHttpServer((request, response) => {
    request.resume()
    response.end('1\n')
  }).listen(0, '127.0.0.1')
  await Promise.all([once(redis, 'listening'), once(clickhouse, 'listening')])
  const port = (server: { address(): unknown }) => (server.address() as AddressInfo).port
  const named = {
    REDIS_URL: `redis://127.0.0.1:${port(redis)}`,
    CLICKHOUSE_URL: `http://127.0.0.1:${port(clickhouse)}`,
  }
  const { servers } = await doctor(named)
  assert.deepEqual(servers, [`ok   ClickHouse: 127.0.0.1:${port(clickhouse)}`, `ok   Redis: 127.0.0.1:${port(redis)}`])
  const { code, out } = await doctor(named, '--json')
  const told = JSON.parse(out)
  assert.deepEqual(
    told.servers.map(({ name, answers }: { name: string; answers: boolean }) => [name, answers]),
    [
      ['ClickHouse', true],
      ['Redis', true],
    ],
  )
  assert.equal(code, told.capture ? EXIT.done : EXIT.failed)
  assert.deepEqual((await doctor({})).servers, [])
  redis.close()
  clickhouse.close()
})

test('what is no address is wrong usage', async () => {
  const { code, err } = await doctor({ REDIS_URL: 'someone:hidden@host' })
  assert.equal(code, EXIT.usage)
  assert.match(err, /REDIS_URL takes an address/)
  assert.ok(!err.includes('hidden'))
})
