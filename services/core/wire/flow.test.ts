import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import avro from 'avsc'
import { anyFlow } from '../../../test/fakes/flows.js'
import { FLOW_COLUMNS, type Flow } from '../flow.js'
import { Random } from '../random.js'
import { REPO_ROOT } from '../repo_root.js'
import { checkFlow, decodeFlow, encodeFlow, FLOW_SCHEMA_ID, FLOW_SCHEMA_TEXT } from './flow.js'

test('every column both ways', () => {
  const random = new Random(7)
  for (let i = 0; i < 200; i++) {
    const flow = anyFlow(random)
    const bytes = encodeFlow(flow)
    assert.equal(bytes[0], 0)
    assert.equal(bytes.readInt32BE(1), FLOW_SCHEMA_ID)
    assert.deepEqual({ ...decodeFlow(bytes) }, flow)
  }
})

test('avsc reads what is written here, and the other way round', () => {
  const type = avro.Type.forSchema(JSON.parse(FLOW_SCHEMA_TEXT))
  const random = new Random(8)
  for (let i = 0; i < 100; i++) {
    const flow = anyFlow(random)
    const { req_headers, resp_headers } = flow
    const stored = { ...flow, req_headers: mapOf(req_headers), resp_headers: mapOf(resp_headers) }
    const frame = encodeFlow(flow)
    assert.deepEqual({ ...type.fromBuffer(frame.subarray(5)) }, stored)
    assert.deepEqual(decodeFlow(Buffer.concat([frame.subarray(0, 5), type.toBuffer(stored)])), flow)
  }
})

function mapOf(pairs: readonly string[]): Record<string, string> {
  const map: Record<string, string> = {}
  for (let i = 0; i < pairs.length; i += 2) map[pairs[i]] = pairs[i + 1]
  return map
}

test('messages of older schemas are read: what they do not have is as the schema says', () => {
  const older = readFileSync(join(REPO_ROOT, 'schemas/avro/released/flow.1.avsc'), 'utf8')
  const flow = anyFlow(new Random(9))
  const { req_headers, resp_headers } = flow
  const stored = { ...flow, req_headers: mapOf(req_headers), resp_headers: mapOf(resp_headers) }
  const bytes = Buffer.concat([Buffer.from([0, 0, 0, 0, 1]), avro.Type.forSchema(JSON.parse(older)).toBuffer(stored)])
  assert.deepEqual({ ...decodeFlow(bytes) }, { ...flow, client_region: '', server_region: '', scope: 'unknown' })
})

test('a flow larger than all before it', () => {
  const flow = { ...anyFlow(new Random(1)), resource: 'ü'.repeat(300_000) }
  assert.equal(decodeFlow(encodeFlow(flow)).resource, flow.resource)
})

test('a number that no reader can hold becomes the nearest one', () => {
  const flow = { ...anyFlow(new Random(2)), resp_bytes: 2 ** 63, latency_us: -5, ttfb_us: Number.NaN }
  const { resp_bytes, latency_us, ttfb_us } = decodeFlow(encodeFlow(flow))
  assert.deepEqual([resp_bytes, latency_us, ttfb_us], [Number.MAX_SAFE_INTEGER - 1, 0, 0])
})

test('the schema has the columns of the flow in their order, each with a default and a word on what it is', () => {
  const { fields } = JSON.parse(FLOW_SCHEMA_TEXT) as { fields: Record<string, unknown>[] }
  assert.deepEqual(
    fields.map((field) => field.name),
    FLOW_COLUMNS.map(({ name }) => name),
  )
  for (const field of fields) {
    assert.ok('default' in field, `${field.name} needs a default, or old readers break`)
    assert.ok(String(field.doc).length > 3, `${field.name} needs a doc`)
  }
})

test('a message in a schema to come is told apart from a broken one', () => {
  const newer = encodeFlow(anyFlow(new Random(3)))
  newer.writeInt32BE(FLOW_SCHEMA_ID + 1, 1)
  assert.throws(() => decodeFlow(newer), { code: 'SCHEMA_NEWER' })
})

test('foreign, cut and damaged messages are refused, whatever the bytes', () => {
  const bytes = encodeFlow(anyFlow(new Random(3)))
  const refused = (damaged: Buffer) => {
    for (const read of [decodeFlow, checkFlow]) assert.throws(() => read(damaged), { code: 'BAD_FLOW' })
  }
  refused(Buffer.alloc(0))
  refused(Buffer.from('{"ts":1}'))
  refused(Buffer.concat([Buffer.from([0, 0, 0, 0, 99]), bytes.subarray(5)]))
  refused(Buffer.concat([bytes, Buffer.from([0])]))
  for (let size = 0; size < Math.min(bytes.length, 2_000); size++) refused(bytes.subarray(0, size))
  const random = new Random(4)
  for (let i = 0; i < 500; i++) {
    const damaged = Buffer.from(bytes)
    damaged[5 + random.below(damaged.length - 5)] ^= 1 << random.below(8)
    const outcomes = [checkFlow, decodeFlow].map((read) => {
      try {
        return (read(damaged) as Flow | undefined)?.conn_id ?? ''
      } catch (error) {
        assert.equal((error as { code: string }).code, 'BAD_FLOW')
        return null
      }
    })
    // The check alone looks at the digits of an id.
    if (outcomes[0] === null) assert.ok(outcomes[1] === null || !/^\d{1,20}$/.test(outcomes[1]))
    else assert.notEqual(outcomes[1], null)
  }
})
