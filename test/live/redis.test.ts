/** N commands sent are N flows at each end, with the right names, keys, results and plausible latency. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Flow } from '../../services/core/flow.js'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import { capture, decode, freePort, NO_CAPTURE, PYTHON, run, withCertificate } from './harness.js'

const CLIENT = `
import Redis from '${REPO_ROOT}/node_modules/ioredis/built/index.js'
const [port, name, tls] = process.argv.slice(2)
const redis = new Redis.default({ port: Number(port), host: '127.0.0.1', tls: tls === 'tls' ? { rejectUnauthorized: false } : undefined })
for (let i = 0; i < 100; i++) await redis.set(name + ':one:' + i, 'v')
const pipeline = redis.pipeline()
for (let i = 0; i < 300; i++) pipeline.get(name + ':many:' + i)
await pipeline.exec()
await redis.multi().set(name + ':multi:1', 'x').incr(name + ':multi:1').exec().catch(() => {})
redis.disconnect()
`

const PYTHON_CLIENT = `
import sys, redis
port, name, tls = int(sys.argv[1]), sys.argv[2], sys.argv[3] == 'tls'
client = redis.Redis(port=port, ssl=True, ssl_cert_reqs=None) if tls else redis.Redis(port=port)
for i in range(50): client.set('%s:one:%d' % (name, i), 'v')
pipeline = client.pipeline(transaction=False)
for i in range(200): pipeline.get('%s:many:%d' % (name, i))
pipeline.execute()
client.lpush(name + ':list', 'a')
client.blpop(name + ':list', timeout=5)
`

function mine(flows: readonly Flow[], prefix: string, side: string): Flow[] {
  return flows.filter((flow) => flow.capture_side === side && flow.resource.startsWith(prefix))
}

function assertCommands(flows: readonly Flow[], prefix: string, method: string, count: number): void {
  for (const side of ['client', 'server']) {
    const found = mine(flows, prefix, side)
    assert.equal(found.length, count, `${prefix} at the ${side}: ${found.length} flows of ${count} commands`)
    assert.equal(new Set(found.map((flow) => flow.resource)).size, count, `${prefix} at the ${side}: each key once`)
    for (const flow of found) {
      assert.equal(flow.protocol, 'redis')
      assert.equal(flow.method, method)
      assert.equal(flow.status_code, 0)
      assert.equal(flow.outcome, 'ok')
      assert.equal(flow.complete, 1)
      assert.ok(flow.latency_us > 0 && flow.latency_us < 10_000_000, `${flow.resource}: ${flow.latency_us} µs`)
    }
  }
}

test('redis-server with redis-cli, ioredis and redis-py, plain and over TLS', { skip: NO_CAPTURE }, async (t) => {
  await withCertificate(async (folder) => {
    const [port, tlsPort] = [await freePort(), await freePort()]
    writeFileSync(join(folder, 'client.mjs'), CLIENT)
    const tls = ['--tls-cert-file', `${folder}/cert.pem`, '--tls-key-file', `${folder}/key.pem`, '--tls-ca-cert-file']
    const server = spawn(
      'redis-server',
      ['--port', String(port), '--tls-port', String(tlsPort), ...tls, `${folder}/cert.pem`].concat([
        '--tls-auth-clients',
        'no',
        '--save',
        '',
        '--bind',
        '127.0.0.1',
        '--dir',
        folder,
      ]),
    )
    try {
      await sleep(500)
      const { segments, stats } = await capture({}, async () => {
        for (let i = 0; i < 20; i++) {
          await run('redis-cli', ['-p', String(port), 'set', `cli:${i}`, 'v'])
          await run('redis-cli', ['-p', String(tlsPort), '--tls', '--insecure', 'set', `clitls:${i}`, 'v'])
        }
        await run(process.execPath, [join(folder, 'client.mjs'), String(port), 'node', 'plain'])
        await run(process.execPath, [join(folder, 'client.mjs'), String(tlsPort), 'nodetls', 'tls'])
        await run(PYTHON, ['-c', PYTHON_CLIENT, String(port), 'py', 'plain'])
        await run(PYTHON, ['-c', PYTHON_CLIENT, String(tlsPort), 'pytls', 'tls'])
      })
      const flows = decode(segments)
      for (const name of ['py', 'pytls']) {
        assertCommands(flows, `${name}:one:`, 'SET', 50)
        assertCommands(flows, `${name}:many:`, 'GET', 200)
        for (const side of ['client', 'server']) {
          const methods = mine(flows, `${name}:list`, side).map(({ method, status_code }) => `${method} ${status_code}`)
          assert.deepEqual(methods, ['LPUSH 0', 'BLPOP 0'])
        }
      }
      assertCommands(flows, 'cli:', 'SET', 20)
      assertCommands(flows, 'clitls:', 'SET', 20)
      for (const name of ['node', 'nodetls']) {
        assertCommands(flows, `${name}:one:`, 'SET', 100)
        assertCommands(flows, `${name}:many:`, 'GET', 300)
        for (const side of ['client', 'server']) {
          const [set, incr] = mine(flows, `${name}:multi:`, side)
          assert.deepEqual([set.method, set.status_code, set.attrs['redis.transaction']], ['SET', 0, 'executed'])
          assert.deepEqual([incr.method, incr.status_code, incr.error], ['INCR', 1, 'ERR'])
        }
      }
      t.diagnostic(`${flows.filter((flow) => flow.protocol === 'redis').length} flows at two ends`)
      assert.equal(stats.lost.ring_full.count, 0)
    } finally {
      server.kill('SIGTERM')
    }
  })
})
