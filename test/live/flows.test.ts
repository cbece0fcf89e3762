/** N requests are N flows at each end that was seen, with the right addresses, paths, statuses and plausible latency. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Flow } from '../../services/core/flow.js'
import { capture, decode, freePort, NO_CAPTURE, PYTHON, run, withCertificate } from './harness.js'

const NODE = `
import https from 'node:https'
import { readFileSync } from 'node:fs'
const [port, folder, count] = process.argv.slice(2)
const tls = { key: readFileSync(folder + '/key.pem'), cert: readFileSync(folder + '/cert.pem') }
const server = https.createServer(tls, (request, response) => response.end('x'.repeat(200))).listen(port, '127.0.0.1', async () => {
  const agent = new https.Agent({ keepAlive: true, maxSockets: 8, rejectUnauthorized: false })
  const one = (path) => new Promise((resolve, reject) => https.get({ host: '127.0.0.1', port, path, agent }, (response) => response.resume().on('end', resolve)).on('error', reject))
  await Promise.all(Array.from({ length: Number(count) }, (_, i) => one('/node/' + i)))
  agent.destroy(); server.close(); server.closeAllConnections()
})
`
const REQUESTS = `
import sys, requests, urllib3
urllib3.disable_warnings()
session = requests.Session()
session.trust_env = False
for i in range(int(sys.argv[2])):
    session.get('https://127.0.0.1:%s/requests/%d' % (sys.argv[1], i), verify=False)
`
const ASYNCIO = `
import asyncio, ssl, sys, aiohttp
context = ssl.create_default_context(); context.check_hostname = False; context.verify_mode = ssl.CERT_NONE
async def main():
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context, limit=6)) as session:
        async def one(i):
            async with session.get('https://127.0.0.1:%s/asyncio/%d' % (sys.argv[1], i)) as response: await response.read()
        await asyncio.gather(*[one(i) for i in range(int(sys.argv[2]))])
asyncio.run(main())
`

function assertFlows(
  flows: readonly Flow[],
  prefix: string,
  count: number,
  port: number,
  sides: readonly string[],
): void {
  for (const side of sides) {
    const mine = flows.filter((flow) => flow.capture_side === side && flow.resource.startsWith(prefix))
    assert.equal(mine.length, count, `${prefix} at the ${side}: ${mine.length} flows of ${count} requests`)
    const paths = new Set(mine.map((flow) => flow.resource))
    assert.equal(paths.size, count, `${prefix} at the ${side}: each path once`)
    for (const flow of mine) {
      assert.equal(flow.method, 'GET')
      assert.equal(flow.status_code, 200)
      assert.equal(flow.client_ip, '127.0.0.1')
      assert.equal(flow.server_ip, '127.0.0.1')
      assert.equal(flow.server_port, port)
      assert.ok(flow.client_port > 1023)
      assert.ok(flow.latency_us > 0 && flow.latency_us < 10_000_000, `${flow.resource}: ${flow.latency_us} µs`)
      assert.equal(flow.complete, 1)
    }
  }
  // Both ends of one call tell of the same connection.
  const portOf = new Map<string, number>()
  for (const { resource, client_port } of flows.filter((flow) => flow.resource.startsWith(prefix)))
    assert.equal(portOf.get(resource) ?? client_port, portOf.set(resource, client_port).get(resource))
}

test('nginx with curl, requests and asyncio; Node to itself', { skip: NO_CAPTURE }, async (t) => {
  await withCertificate(async (folder) => {
    const [port, nodePort] = [await freePort(), await freePort()]
    mkdirSync(join(folder, 'tmp'))
    const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (name) => `${name}_temp_path ${folder}/tmp/${name};`,
    )
    writeFileSync(
      join(folder, 'nginx.conf'),
      `worker_processes 1; daemon off; user root; pid ${folder}/nginx.pid; error_log ${folder}/error.log;
       events {} http { access_log off; ${paths.join(' ')} server { listen 127.0.0.1:${port} ssl; ssl_certificate ${folder}/cert.pem;
       ssl_certificate_key ${folder}/key.pem; location / { return 200 "${'x'.repeat(200)}"; } } }`,
    )
    writeFileSync(join(folder, 'node.mjs'), NODE)
    const nginx = spawn('nginx', ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')])
    try {
      await sleep(300)
      const { segments, stats } = await capture({}, async () => {
        for (let i = 0; i < 20; i++)
          await run('curl', [
            '--retry',
            '20',
            '--retry-connrefused',
            '--retry-delay',
            '1',
            '-sk',
            `https://127.0.0.1:${port}/curl/${i}`,
          ])
        await run(PYTHON, ['-c', REQUESTS, String(port), '50'])
        await run(PYTHON, ['-c', ASYNCIO, String(port), '60'])
        await run(process.execPath, [join(folder, 'node.mjs'), String(nodePort), folder, '200'])
      })
      const flows = decode(segments)
      assertFlows(flows, '/curl/', 20, port, ['client', 'server'])
      assertFlows(flows, '/requests/', 50, port, ['client', 'server'])
      assertFlows(flows, '/asyncio/', 60, port, ['client', 'server'])
      assertFlows(flows, '/node/', 200, nodePort, ['client', 'server'])
      t.diagnostic(
        `20 + 50 + 60 + 200 requests: ${flows.filter((flow) => /^\/(curl|requests|asyncio|node)\//.test(flow.resource)).length} flows at two ends`,
      )
      assert.equal(stats.lost.ring_full.count, 0)
    } finally {
      nginx.kill('SIGTERM')
    }
  })
})

test('plain HTTP is seen at both ends, once each', { skip: NO_CAPTURE }, async () => {
  const port = await freePort()
  const server = spawn(PYTHON, [
    '-m',
    'http.server',
    String(port),
    '--bind',
    '127.0.0.1',
    '--directory',
    '/usr/share/doc',
  ])
  try {
    await sleep(500)
    const { segments } = await capture({}, async () => {
      for (let i = 0; i < 10; i++)
        await run('curl', [
          '--retry',
          '20',
          '--retry-connrefused',
          '--retry-delay',
          '1',
          '-s',
          '-o',
          '/dev/null',
          `http://127.0.0.1:${port}/?plain=${i}`,
        ])
    })
    assertFlows(decode(segments), '/?plain=', 10, port, ['client', 'server'])
  } finally {
    server.kill('SIGTERM')
  }
})
