import assert from 'node:assert/strict'
import { request } from 'node:http'
import { test } from 'node:test'
import { answerTo, listeningServers } from '../../../test/fakes/raw_http.js'
import { Health } from '../../core/telemetry/health.js'
import { gauge } from '../../core/telemetry/metrics.js'
import { serveOperations } from './operations_server.js'

test('what it answers: live, ready, metrics, status; nothing else, and only to those who read', async () => {
  let nowMs = 0
  const health = new Health(() => nowMs, 1_000)
  const metrics = () => [gauge('k_now', 'Now.', 1)]
  const server = await serveOperations({ host: '127.0.0.1', port: 0, health, metrics, status: () => ({ id: 7n }) })
  const get = async (path: string, method = 'GET') => {
    const answer = await fetch(`http://127.0.0.1:${server.port}${path}`, { method })
    return [answer.status, await answer.text()]
  }
  assert.deepEqual(await get('/livez'), [200, 'ok\n'])
  assert.deepEqual(await get('/readyz?verbose'), [200, 'ok\n'])
  assert.deepEqual(await get('/metrics'), [200, '# HELP k_now Now.\n# TYPE k_now gauge\nk_now 1\n'])
  assert.deepEqual(await get('/status'), [200, '{\n  "id": "7"\n}\n'])
  assert.deepEqual(await get('/livez', 'HEAD'), [200, ''])
  assert.equal((await get('/livez', 'POST'))[0], 405)
  assert.equal((await get('/%2e%2e/etc'))[0], 404)
  health.set('store', 'refused')
  assert.deepEqual(await get('/readyz'), [503, 'store: refused\n'])
  assert.deepEqual(await get('/livez'), [200, 'ok\n'])
  nowMs = 2_000
  assert.deepEqual(await get('/livez'), [503, 'no progress for 2 s\n'])
  await assert.rejects(serveOperations({ host: '127.0.0.1', port: server.port, health, metrics, status: () => ({}) }), {
    code: 'PORT_IN_USE',
  })
  server.close()
})

test('a failing metric or status is told, and the server goes on', async () => {
  const health = new Health(() => 0, 1_000)
  const fail = () => {
    throw new Error('broken')
  }
  const server = await serveOperations({ host: '127.0.0.1', port: 0, health, metrics: fail, status: fail })
  for (const path of ['/metrics', '/status']) {
    const answer = await fetch(`http://127.0.0.1:${server.port}${path}`)
    assert.deepEqual([answer.status, await answer.text()], [500, 'broken\n'])
  }
  assert.equal((await fetch(`http://127.0.0.1:${server.port}/livez`)).status, 200)
  // A line that is no request ends its own connection only.
  await new Promise<void>((resolve) => {
    const bad = request({ host: '127.0.0.1', port: server.port, path: '/livez', headers: { 'content-length': 'x' } })
    bad.on('error', () => resolve())
    bad.on('response', (response) => response.resume().on('end', () => resolve()))
    bad.end()
  })
  assert.equal((await fetch(`http://127.0.0.1:${server.port}/livez`)).status, 200)
  server.close()
})

test('a connection that cannot be accepted is told of, what is no HTTP is answered 400, and the server goes on', async (t) => {
  const servers = listeningServers(t)
  const errors: string[] = []
  const onError = ({ message }: Error) => errors.push(message)
  const health = new Health(() => 0, 1_000)
  const options = { host: '127.0.0.1', port: 0, health, metrics: () => [], status: () => ({}), onError }
  const server = await serveOperations(options)
  servers[0].emit('error', new Error('accept EMFILE'))
  assert.deepEqual(errors, ['accept EMFILE'])
  assert.match(await answerTo(server.port, '\x16\x03\x01\x00\x05hello\r\n\r\n'), /^HTTP\/1.1 400 /)
  assert.equal((await fetch(`http://127.0.0.1:${server.port}/livez`)).status, 200)
  server.close()
})
