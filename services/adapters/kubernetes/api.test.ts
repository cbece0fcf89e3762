/** What an API server may answer instead of what it should: each is one error that says where, and nothing stays open. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { ApiError, WatchEvent } from '../../core/ports/kubernetes.js'
import { KubernetesClient } from './api.js'

const PATH = '/api/v1/pods'
const folder = mkdtempSync(join(tmpdir(), 'klartext-api-'))
test.after(() => rmSync(folder, { recursive: true, force: true }))

/** A client of a server that answers every request in this way. */
async function serving(answer: (response: ServerResponse) => void, use: (api: KubernetesClient) => Promise<void>) {
  const server = createServer((_request, response) => answer(response)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const kubeconfig = join(folder, 'kubeconfig')
  const context = {
    clusters: [{ name: 'c', cluster: { server: url, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'u', user: {} }],
  }
  const contexts = [{ name: 'x', context: { cluster: 'c', user: 'u' } }]
  writeFileSync(kubeconfig, JSON.stringify({ kind: 'Config', ...context, contexts, 'current-context': 'x' }))
  try {
    await use(new KubernetesClient({ kubeconfig }))
    // Whoever has failed has let go of the connection.
    for (let i = 0; i < 100; i++) {
      const open = await new Promise<number>((resolve) => server.getConnections((_error, count) => resolve(count)))
      if (open === 0) return
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    assert.fail('a connection is still open')
  } finally {
    server.closeAllConnections()
    server.close()
  }
}

const quiet = () => AbortSignal.timeout(20_000)

/** The error of a list of which that was the answer. */
async function listError(status: number, body: string | Buffer): Promise<ApiError> {
  let failed: ApiError | null = null
  await serving(
    (response) => response.writeHead(status, { connection: 'close' }).end(body),
    async (api) => {
      failed = await api.list(PATH, {}, quiet()).then(
        () => assert.fail('it was taken'),
        (error: ApiError) => error,
      )
    },
  )
  assert.ok(failed)
  return failed
}

/** What a watch tells of these bytes before it ends, and how it does. */
async function watched(body: readonly (string | Buffer)[], isCut = false) {
  const events: WatchEvent[] = []
  let error: ApiError | null = null
  await serving(
    (response) => {
      response.writeHead(200, { connection: 'close' })
      for (const part of body) response.write(part)
      if (isCut) setTimeout(() => response.destroy(), 50)
      else response.end()
    },
    async (api) => {
      const handler = { opened: () => {}, event: (event: WatchEvent) => void events.push(event) }
      error = await api.watch(PATH, {}, handler, quiet()).then(
        () => null,
        (failure: ApiError) => failure,
      )
    },
  )
  return { events, error: error as ApiError | null }
}

test('lists that are none are one line with the path and what came', async () => {
  for (const [status, body, expected] of [
    [200, '<html>504 Gateway\r\nTimeout</html>', /^\/api\/v1\/pods: not JSON: "<html>504 /],
    [200, '', /not JSON: ""/],
    [200, 'null', /not JSON/],
    [200, '{"items":7}', /the answer is no list/],
    [200, Buffer.from([0xff, 0xfe, 0, 1]), /not JSON/],
    [500, 'x'.repeat(100_000), /^\/api\/v1\/pods: 500 x{300}$/],
    [
      403,
      JSON.stringify({ kind: 'Status', message: 'pods is forbidden:\n\u001b[31m no' }),
      /403 pods is forbidden: \[31m no$/,
    ],
  ] as const) {
    const { message, status: told } = await listError(status, body)
    assert.match(message, expected)
    assert.equal(told, status === 200 ? 0 : status)
    assert.ok(message.length < 400 && !/\p{Cc}/u.test(message), message)
  }
})

test('a watch tells what came whole, and then what was wrong', async () => {
  const added = (name: string) => JSON.stringify({ type: 'ADDED', object: { metadata: { name } } })
  const name = 'ü€\u{1f600}"\\'
  const bytes = Buffer.from(`${added(name)}\n\n${added('b')}\n`)
  // In pieces that cut characters.
  const whole = await watched([bytes.subarray(0, 45), bytes.subarray(45, 47), bytes.subarray(47)])
  assert.deepEqual(
    whole.events.map(({ object }) => (object as { metadata: { name: string } }).metadata.name),
    [name, 'b'],
  )
  assert.equal(whole.error, null)
  for (const [body, expected, status] of [
    ['{"type":"ADDED","obj\n', /not JSON/, 0],
    ['[[[[\n', /not JSON/, 0],
    ['{"type":"ERROR","object":{"code":410,"message":"too old resource version"}}\n', /too old/, 410],
    ['{"type":"ERROR"}\n', /error/, 0],
    ['{"type":"ERROR","object":{"code":"x","message":["a\\u0007"]}}\n', /a/, 0],
  ] as const) {
    const { events, error } = await watched([`${added('a')}\n`, body, `${added('never')}\n`])
    assert.equal(events.length, 1, body)
    assert.match(error?.message ?? '', expected)
    assert.equal(error?.status, status)
    assert.ok(!/\p{Cc}/u.test(error?.message ?? ''))
  }
  // What it does not know is passed over, as the API asks clients to do.
  const odd = await watched(['{"type":"SOMETHING"}\n{}\n', `${added('a')}\n`])
  assert.deepEqual([odd.events.length, odd.error], [1, null])
})

test('a watch that is cut, or whose event never ends, is an error and takes no memory on', async () => {
  const cut = await watched(['{"type":"ADDED","object":'], true)
  assert.deepEqual([cut.events, cut.error?.status], [[], 0])
  const endless = await watched(Array.from({ length: 20 }, () => Buffer.alloc(1 << 20, 0x78)))
  assert.match(endless.error?.message ?? '', /^\/api\/v1\/pods: an event of more than 8388608 bytes$/)
})
