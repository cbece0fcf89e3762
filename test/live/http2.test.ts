/** HTTP/2 over TLS between real programs: N requests are N flows at each end, whatever is on one connection at once. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Flow } from '../../services/core/flow.js'
import { capture, decode, freePort, NO_CAPTURE, run, withCertificate } from './harness.js'

const READY_MS = 20_000

/** Until somebody listens. */
async function listening(port: number): Promise<void> {
  for (const until = Date.now() + READY_MS; Date.now() < until; await sleep(50)) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = net.connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false))
      socket.on('connect', () => socket.destroy())
    })
    if (open) return
  }
  throw new Error(`nobody listens on ${port}`)
}

type Check = (flow: Flow) => void

/** `count` flows at each end, each path once, all of them HTTP/2. */
function assertFlows(flows: readonly Flow[], prefix: string, count: number, port: number, check: Check): void {
  for (const side of ['client', 'server']) {
    const mine = flows.filter((flow) => flow.capture_side === side && flow.resource.startsWith(prefix))
    assert.equal(mine.length, count, `${prefix} at the ${side}: ${mine.length} flows of ${count} requests`)
    assert.equal(new Set(mine.map((flow) => flow.resource)).size, count, `${prefix} at the ${side}: each path once`)
    for (const flow of mine) {
      const what = `${flow.resource} at the ${side}: ${JSON.stringify([flow.findings, flow.attrs])}`
      assert.equal(flow.protocol, 'http2', what)
      assert.equal(flow.server_port, port, what)
      assert.ok(flow.client_port > 1023, what)
      assert.ok(flow.latency_us > 0 && flow.latency_us < 30_000_000, `${what} ${flow.latency_us} µs`)
      check(flow)
    }
  }
}

const got: Check = (flow) => {
  assert.deepEqual([flow.method, flow.status_code, flow.resp_bytes, flow.complete], ['GET', 200, 200, 1], flow.resource)
}

test('nginx with curl --http2, one by one and all at once', { skip: NO_CAPTURE }, async (t) => {
  await withCertificate(async (folder) => {
    const port = await freePort()
    mkdirSync(join(folder, 'tmp'))
    const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (name) => `${name}_temp_path ${folder}/tmp/${name};`,
    )
    writeFileSync(
      join(folder, 'nginx.conf'),
      `worker_processes 1; daemon off; user root; pid ${folder}/nginx.pid; error_log ${folder}/error.log;
       events {} http { access_log off; ${paths.join(' ')} server { listen 127.0.0.1:${port} ssl http2;
       ssl_certificate ${folder}/cert.pem; ssl_certificate_key ${folder}/key.pem;
       location / { return 200 "${'x'.repeat(200)}"; } location /missing/ { return 404 "no"; } } }`,
    )
    const nginx = spawn('nginx', ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')])
    try {
      await listening(port)
      const { segments, stats } = await capture({}, async () => {
        const url = `https://127.0.0.1:${port}`
        for (let i = 0; i < 20; i++) await run('curl', ['--http2', '-sk', `${url}/curl/${i}`])
        await run('curl', ['--http2', '-sk', '-Z', `${url}/parallel/[1-50]`])
        await run('curl', ['--http2', '-sk', `${url}/missing/[1-5]`])
      })
      const flows = decode(segments)
      assertFlows(flows, '/curl/', 20, port, got)
      assertFlows(flows, '/parallel/', 50, port, got)
      assertFlows(flows, '/missing/', 5, port, (flow) => {
        const { method, status_code, resp_bytes, outcome, complete } = flow
        assert.deepEqual([method, status_code, resp_bytes, outcome, complete], ['GET', 404, 2, 'client_error', 1])
      })
      t.diagnostic(`75 requests, ${flows.filter((flow) => flow.protocol === 'http2').length} flows at two ends`)
      assert.equal(stats.lost.ring_full.count, 0)
    } finally {
      nginx.kill('SIGTERM')
    }
  })
})

const NODE = `
import http2 from 'node:http2'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
const [port, folder] = process.argv.slice(2)
const tls = { key: readFileSync(folder + '/key.pem'), cert: readFileSync(folder + '/cert.pem') }
const server = http2.createSecureServer(tls)
server.on('stream', (stream, headers) => {
  const path = headers[':path']
  stream.on('error', () => {})
  if (path.startsWith('/hang/')) return stream.respond({ ':status': 200 })
  if (path.startsWith('/large/')) return stream.respond({ ':status': 200 }), stream.end(Buffer.alloc(300_000, 1))
  if (path.startsWith('/trailers/')) {
    stream.respond({ ':status': 200 }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-checksum': path }))
    return stream.end('x'.repeat(200))
  }
  stream.resume().on('end', () => { stream.respond({ ':status': path.startsWith('/post/') ? 201 : 200 }); stream.end('x'.repeat(200)) })
})
server.listen(Number(port), '127.0.0.1')
await once(server, 'listening')
const session = http2.connect('https://127.0.0.1:' + port, { rejectUnauthorized: false })
const call = async (path, body, headers) => {
  const stream = session.request({ ':path': path, ':method': body ? 'POST' : 'GET', ...headers })
  stream.end(body)
  stream.resume()
  await once(stream, 'end')
}
await Promise.all(Array.from({ length: 1000 }, (_, i) => call('/many/' + i, undefined, { 'x-request-id': 'many-' + i })))
await Promise.all(Array.from({ length: 20 }, (_, i) => call('/post/' + i, Buffer.alloc(20_000 + i))))
await Promise.all(Array.from({ length: 5 }, (_, i) => call('/large/' + i)))
await Promise.all(Array.from({ length: 5 }, (_, i) => call('/trailers/' + i)))
await call('/header/0', undefined, { 'x-long': 'v'.repeat(40_000) })
for (let i = 0; i < 5; i++) {
  const stream = session.request({ ':path': '/hang/' + i })
  await once(stream, 'response')
  stream.close(http2.constants.NGHTTP2_CANCEL)
  await once(stream, 'close')
}
await call('/last/0')
session.close()
await once(session, 'close')
server.close()
`

test('Node to itself: a thousand at once, bodies, trailers, long headers, cancelled', {
  skip: NO_CAPTURE,
}, async (t) => {
  await withCertificate(async (folder) => {
    const port = await freePort()
    writeFileSync(join(folder, 'node.mjs'), NODE)
    const { segments, stats } = await capture({}, async () => {
      await run(process.execPath, ['--max-http-header-size=65536', join(folder, 'node.mjs'), String(port), folder])
    })
    const flows = decode(segments)
    assertFlows(flows, '/many/', 1000, port, (flow) => {
      got(flow)
      assert.equal(flow.request_id, flow.resource.replace('/many/', 'many-'))
    })
    assertFlows(flows, '/post/', 20, port, ({ method, status_code, resource, req_bytes, complete }) => {
      const size = 20_000 + Number(resource.slice('/post/'.length))
      assert.deepEqual([method, status_code, req_bytes, complete], ['POST', 201, size, 1])
    })
    assertFlows(flows, '/large/', 5, port, ({ resp_bytes, complete }) =>
      assert.deepEqual([resp_bytes, complete], [300_000, 1]),
    )
    assertFlows(flows, '/trailers/', 5, port, (flow) => {
      got(flow)
      assert.ok(flow.resp_headers.includes(flow.resource), 'the trailer is there')
    })
    assertFlows(flows, '/header/', 1, port, got)
    assertFlows(flows, '/hang/', 5, port, ({ outcome, error, complete }) =>
      assert.deepEqual([outcome, error, complete], ['reset', 'CANCEL', 0]),
    )
    assertFlows(flows, '/last/', 1, port, got)
    t.diagnostic(`1037 requests, ${flows.filter((flow) => flow.protocol === 'http2').length} flows at two ends`)
    assert.equal(stats.lost.ring_full.count, 0)
  })
})
