import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import avro from 'avsc'
import { answerTo, listeningServers } from '../../test/fakes/raw_http.js'
import { REPO_ROOT } from '../core/repo_root.js'
import { FLOW_SCHEMA_ID, FLOW_SCHEMA_TEXT } from '../core/wire/flow.js'
import { POD_SCHEMA_ID, POD_SCHEMA_TEXT } from '../core/wire/pods.js'
import { answer } from './answers.js'
import { serveSchemas } from './server.js'
import { releasedSchemas } from './subjects.js'

const RELEASED = releasedSchemas()
const typeOf = (schema: string) => avro.Type.forSchema(JSON.parse(schema))

/** Throws where one cannot read what the other writes. */
function checkBothWays(older: string, newer: string): void {
  typeOf(newer).createResolver(typeOf(older))
  typeOf(older).createResolver(typeOf(newer))
}

test('each schema is the released one of its number: what consumers have been told is never changed', () => {
  for (const [name, text, number] of [
    ['flow', FLOW_SCHEMA_TEXT, FLOW_SCHEMA_ID],
    ['pod', POD_SCHEMA_TEXT, POD_SCHEMA_ID],
  ] as const) {
    const released = RELEASED.find(({ id }) => id === number)
    assert.deepEqual(
      JSON.parse(text),
      JSON.parse(released?.schema ?? 'null'),
      `${name}.avsc was changed: copy it to schemas/avro/released as the next version, name it in subjects.json and raise its number`,
    )
  }
})

test('numbers are given once, versions count from 1, and each version reads and is read by all before it', () => {
  assert.equal(new Set(RELEASED.map(({ id }) => id)).size, RELEASED.length)
  for (const subject of new Set(RELEASED.map((each) => each.subject))) {
    const versions = RELEASED.filter((each) => each.subject === subject)
    assert.deepEqual(
      versions.map(({ version }) => version),
      versions.map((_, i) => i + 1),
    )
    for (const [i, newer] of versions.entries()) {
      for (const older of versions.slice(0, i)) checkBothWays(older.schema, newer.schema)
    }
  }
})

test('the check itself: a field with a default may come and go, others not', () => {
  const flow = readFileSync(join(REPO_ROOT, 'schemas/avro/flow.avsc'), 'utf8')
  const changed = (change: (fields: Record<string, unknown>[]) => unknown) => {
    const schema = JSON.parse(flow) as { fields: Record<string, unknown>[] }
    change(schema.fields)
    return JSON.stringify(schema)
  }
  checkBothWays(
    flow,
    changed((fields) => fields.push({ name: 'more', type: 'string', default: '' })),
  )
  const wrong = [
    changed((fields) => fields.push({ name: 'more', type: 'string' })),
    changed((fields) => Object.assign(fields[3], { type: 'long', default: 0 })),
  ]
  for (const schema of wrong) assert.throws(() => checkBothWays(flow, schema))
})

test('the endpoints of a registry, and what it refuses', async () => {
  const registry = await serveSchemas({ host: '127.0.0.1', port: 0 })
  const get = async (path: string, method = 'GET') => {
    const response = await fetch(`http://127.0.0.1:${registry.port}${path}`, { method })
    assert.equal(response.headers.get('content-type'), 'application/vnd.schemaregistry.v1+json')
    return [response.status, await response.json()] as const
  }
  try {
    const { schema } = RELEASED[0]
    const subject = 'klartext.flows-value'
    const versions = RELEASED.filter((each) => each.subject === subject)
    assert.deepEqual(await get('/subjects'), [200, [subject, 'klartext.pods-value']])
    assert.deepEqual(await get(`/subjects/${subject}/versions`), [200, versions.map(({ version }) => version)])
    assert.deepEqual(await get(`/subjects/${encodeURIComponent(subject)}/versions/1`), [
      200,
      { subject, version: 1, id: 1, schema },
    ])
    assert.deepEqual(await get(`/subjects/${subject}/versions/latest?deleted=false`), [200, versions.at(-1)])
    assert.deepEqual(await get('/schemas/ids/1'), [200, { schema }])
    assert.deepEqual(await get('/config'), [200, { compatibilityLevel: 'FULL_TRANSITIVE' }])
    const refused = [
      ['/schemas/ids/77', 404, 40403],
      ['/subjects/other/versions', 404, 40401],
      [`/subjects/${subject}/versions/999`, 404, 40402],
      [`/subjects/${subject}/versions/x`, 422, 42202],
      ['/subjects/%/versions', 400, 400],
      ['/schemas/ids/1/x/y', 404, 404],
    ] as const
    for (const [path, status, code] of refused) {
      const [got, body] = await get(path)
      assert.deepEqual([got, (body as { error_code: number }).error_code], [status, code], path)
    }
    assert.equal((await get(`/subjects/${subject}/versions`, 'POST'))[0], 405)
  } finally {
    await registry.close()
  }
})

test('no path makes it throw', () => {
  for (const path of [
    '',
    '//',
    '/subjects//',
    '/schemas/ids/',
    '/schemas/ids/__proto__',
    '/subjects/__proto__/versions',
  ]) {
    assert.ok(answer(RELEASED, 'GET', path).status >= 200)
  }
})

test('a connection that cannot be accepted is told of, what is no HTTP is answered 400, and the server goes on', async (t) => {
  const servers = listeningServers(t)
  const errors: string[] = []
  const server = await serveSchemas({ host: '127.0.0.1', port: 0, onError: ({ message }) => errors.push(message) })
  servers[0].emit('error', new Error('accept EMFILE'))
  assert.deepEqual(errors, ['accept EMFILE'])
  assert.match(await answerTo(server.port, 'no request\r\n\r\n'), /^HTTP\/1.1 400 /)
  assert.equal((await fetch(`http://127.0.0.1:${server.port}/subjects`)).status, 200)
  await server.close()
})
