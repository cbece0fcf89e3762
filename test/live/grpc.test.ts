/** gRPC between real programs: N calls are N flows at each end, with counts, statuses, messages and deadlines. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Flow } from '../../services/core/flow.js'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import { goProgramPath } from '../go_program.js'
import { capture, decode, freePort, NO_CAPTURE, run, withCertificate } from './harness.js'

const GO = goProgramPath('test/live/grpc_go', 'grpc-go')
const NO_GO: string | false = existsSync(GO) ? false : 'grpc-go not built: that needs Go 1.24 or newer'

/** What every flow of a method says, at each end: messages up and down, status, outcome. */
interface Expected {
  readonly sent: number
  readonly received: number
  readonly status?: number
  readonly outcome?: string
  readonly error?: string
  readonly message?: string
  readonly complete?: number
}

function assertCalls(flows: readonly Flow[], path: string, count: number, port: number, expected: Expected): void {
  const { sent, received, status = 0, outcome = 'ok', error = '', message = '', complete = 1 } = expected
  const [service, method] = path.slice(1).split('/')
  for (const side of ['client', 'server']) {
    const mine = flows.filter((flow) => flow.capture_side === side && flow.resource === path)
    assert.equal(mine.length, count, `${path} at the ${side}: ${mine.length} flows of ${count} calls`)
    assert.equal(new Set(mine.map(({ attrs, conn_id }) => `${conn_id} ${attrs['http2.stream_id']}`)).size, count)
    for (const { attrs, ...flow } of mine) {
      const what = `${path} at the ${side}: ${JSON.stringify([flow.findings, attrs])}`
      assert.deepEqual(
        [flow.protocol, flow.method, flow.server_port, flow.endpoint],
        ['grpc', 'POST', port, path],
        what,
      )
      assert.deepEqual([flow.status_code, flow.outcome, flow.error], [status, outcome, error], what)
      assert.deepEqual([attrs['rpc.service'], attrs['rpc.method']], [service, method], what)
      assert.equal(flow.complete, complete, what)
      assert.equal(attrs['rpc.grpc.request.messages'], String(sent), what)
      if (received > 0) assert.equal(attrs['rpc.grpc.response.messages'], String(received), what)
      assert.equal(attrs['rpc.grpc.message'] ?? '', message, what)
      assert.ok(flow.latency_us > 0 && flow.latency_us < 30_000_000, `${what} ${flow.latency_us} µs`)
    }
  }
}

const GRPC_JS = `
import { readFileSync } from 'node:fs'
import grpc from '${REPO_ROOT}/node_modules/@grpc/grpc-js/build/src/index.js'
const [port, folder, count] = process.argv.slice(2)
const raw = (value) => value
const method = (name, requestStream, responseStream) => ({ path: '/live.Node/' + name, requestStream, responseStream,
  requestSerialize: raw, requestDeserialize: raw, responseSerialize: raw, responseDeserialize: raw })
const service = { One: method('One', false, false), Up: method('Up', true, false), Down: method('Down', false, true),
  Both: method('Both', true, true), Fail: method('Fail', false, false), Slow: method('Slow', false, false), Zip: method('Zip', false, false) }
const server = new grpc.Server()
server.addService(service, {
  One: (call, done) => done(null, call.request),
  Zip: (call, done) => done(null, call.request),
  Up: (call, done) => { let n = 0; call.on('data', () => n++).on('end', () => done(null, Buffer.from(n + ' messages'))) },
  Down: (call) => { for (let i = 0; i < 5; i++) call.write(Buffer.from('item ' + i)); call.end() },
  Both: (call) => call.on('data', (message) => call.write(message)).on('end', () => call.end()),
  Fail: (call, done) => done({ code: grpc.status.NOT_FOUND, details: 'kein Körbchen: 100 %' }),
  Slow: () => {},
})
const cert = readFileSync(folder + '/cert.pem')
const tls = grpc.ServerCredentials.createSsl(null, [{ private_key: readFileSync(folder + '/key.pem'), cert_chain: cert }])
await new Promise((resolve, reject) => server.bindAsync('127.0.0.1:' + port, tls, (error) => error ? reject(error) : resolve()))
const Client = grpc.makeGenericClientConstructor(service, 'live.Node')
const credentials = grpc.credentials.createSsl(cert, null, null, { checkServerIdentity: () => undefined })
const client = new Client('127.0.0.1:' + port, credentials, { 'grpc.default_compression_algorithm': 0 })
const zip = new Client('127.0.0.1:' + port, credentials, { 'grpc.default_compression_algorithm': 2, 'grpc.use_local_subchannel_pool': 1 })
const answered = (call) => new Promise((resolve, reject) => call((error, value) => error ? reject(error) : resolve(value)))
const read = (stream) => new Promise((resolve, reject) => { let n = 0; stream.on('data', () => n++).on('end', () => resolve(n)).on('error', reject) })
const many = (one) => Promise.all(Array.from({ length: Number(count) }, (_, i) => one(i)))
await many((i) => answered((done) => client.One(Buffer.from('message ' + i), done)))
await many(() => answered((done) => zip.Zip(Buffer.alloc(5000, 'z'), done)))
await many(() => answered((done) => { const call = client.Up(done); for (let k = 0; k < 4; k++) call.write(Buffer.alloc(10)); call.end() }))
await many(() => read(client.Down(Buffer.alloc(1))))
await many(() => { const call = client.Both(); for (let k = 0; k < 3; k++) call.write(Buffer.alloc(k)); call.end(); return read(call) })
await many(() => answered((done) => client.Fail(Buffer.alloc(1), done)).then(() => { throw new Error('no error') }, (error) => { if (error.code !== 5) throw error }))
await answered((done) => client.Slow(Buffer.alloc(1), { deadline: Date.now() + 300 }, done)).then(() => { throw new Error('no error') }, (error) => { if (error.code !== 4) throw error })
await new Promise((resolve) => setTimeout(resolve, 300))
client.close(); zip.close()
await new Promise((resolve) => server.tryShutdown(resolve))
`

const COUNT = 25

test('grpc-js over TLS: unary, streams, compression, errors, a deadline', { skip: NO_CAPTURE }, async (t) => {
  await withCertificate(async (folder) => {
    const port = await freePort()
    writeFileSync(join(folder, 'grpc.mjs'), GRPC_JS)
    const { segments, stats } = await capture({}, async () => {
      await run(process.execPath, [join(folder, 'grpc.mjs'), String(port), folder, String(COUNT)])
    })
    const flows = decode(segments).filter(({ protocol }) => protocol === 'grpc')
    const check = (name: string, expected: Expected) => assertCalls(flows, `/live.Node/${name}`, COUNT, port, expected)
    check('One', { sent: 1, received: 1, message: 'OK' })
    check('Zip', { sent: 1, received: 1, message: 'OK' })
    check('Up', { sent: 4, received: 1, message: 'OK' })
    check('Down', { sent: 1, received: 5, message: 'OK' })
    check('Both', { sent: 3, received: 3, message: 'OK' })
    const failed = { outcome: 'client_error', error: 'NOT_FOUND', message: 'kein Körbchen: 100 %' }
    check('Fail', { sent: 1, received: 0, status: 5, ...failed })
    for (const { attrs, resource } of flows) {
      const compressed = resource === '/live.Node/Zip' ? 'true' : undefined
      assert.equal(attrs['rpc.grpc.request.compressed'], compressed, resource)
    }
    const slow = flows.filter(({ resource }) => resource === '/live.Node/Slow')
    assert.equal(slow.length, 2)
    for (const { outcome, attrs, error } of slow) {
      assert.equal(outcome, 'timeout', `${error} ${JSON.stringify(attrs)}`)
      assert.match(attrs['rpc.grpc.timeout'], /^\d+[mun]$/)
    }
    t.diagnostic(`${6 * COUNT + 1} calls, ${flows.length} flows at two ends`)
    assert.equal(stats.lost.ring_full.count, 0)
  })
})

test('grpc-go in clear: unary, streams, errors, a deadline', { skip: NO_CAPTURE || NO_GO }, async (t) => {
  const port = await freePort()
  const server = spawn(GO, ['serve', String(port)])
  try {
    await once(server.stdout, 'data')
    const { segments, stats } = await capture({}, async () => {
      await run(GO, ['call', String(port), String(COUNT)])
    })
    const flows = decode(segments).filter(({ protocol }) => protocol === 'grpc')
    const check = (name: string, expected: Expected) => assertCalls(flows, `/live.Go/${name}`, COUNT, port, expected)
    check('One', { sent: 1, received: 1 })
    check('Up', { sent: 4, received: 1 })
    check('Down', { sent: 1, received: 5 })
    check('Both', { sent: 3, received: 3 })
    const failed = { outcome: 'client_error', error: 'NOT_FOUND', message: 'no such thing: 100 %' }
    check('Fail', { sent: 1, received: 0, status: 5, ...failed })
    const slow = flows.filter(({ resource }) => resource === '/live.Go/Slow')
    assert.equal(slow.length, 2)
    for (const { outcome, attrs } of slow) {
      assert.equal(outcome, 'timeout')
      assert.match(attrs['rpc.grpc.timeout'], /^\d+[mun]$/)
    }
    t.diagnostic(`${5 * COUNT + 1} calls, ${flows.length} flows at two ends`)
    assert.equal(stats.lost.ring_full.count, 0)
  } finally {
    server.kill('SIGTERM')
  }
})
