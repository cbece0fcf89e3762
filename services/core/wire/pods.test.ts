import assert from 'node:assert/strict'
import { test } from 'node:test'
import avro from 'avsc'
import { identity } from '../../../test/fakes/identities.js'
import { type Identity, STILL_VALID_US } from '../pods.js'
import { Random } from '../random.js'
import {
  decodePodRecord,
  encodeFollowed,
  encodeIdentity,
  POD_SCHEMA_ID,
  POD_SCHEMA_TEXT,
  parsePodKey,
  podKey,
} from './pods.js'

const TYPE = avro.Type.forSchema(JSON.parse(POD_SCHEMA_TEXT))

function someIdentity(random: Random): Identity {
  const text = () => random.pick(['', 'a', 'grüße 世界', '\u0000"\\\n', 'x'.repeat(random.below(512))])
  return identity(text(), {
    kind: random.pick(['pod', 'service', 'node', 'namespace']),
    cluster: text(),
    namespace: text(),
    workload: text(),
    workloadKind: text(),
    node: text(),
    podUid: text(),
    service: text(),
    addresses: Array.from({ length: random.below(4) }, text),
    containers: Array.from({ length: random.below(4) }, () => ({ id: text(), name: text() })),
    validFromUs: random.below(2 ** 50),
    validToUs: random.pick([STILL_VALID_US, random.below(2 ** 50)]),
  })
}

test('identities both ways, and as avsc reads and writes them', () => {
  const random = new Random(5)
  for (let i = 0; i < 200; i++) {
    const one = someIdentity(random)
    const bytes = encodeIdentity(one)
    assert.equal(bytes.readInt32BE(1), POD_SCHEMA_ID)
    assert.deepEqual(decodePodRecord(bytes), { type: 'identity', identity: one })
    const read = TYPE.fromBuffer(bytes.subarray(5))
    assert.deepEqual([read.ns, read.sa, read.valid_to], [one.namespace, one.serviceAccount, one.validToUs])
    assert.deepEqual(
      { ...read, containers: read.containers.map((each: object) => ({ ...each })) }.containers,
      one.containers,
    )
    assert.deepEqual(Buffer.concat([bytes.subarray(0, 5), TYPE.toBuffer(read)]), bytes)
  }
})

test('how far a cluster was followed', () => {
  const followed = { cluster: 'lab', network: 'vpc', untilUs: 1_700_000_000_000_000 }
  assert.deepEqual(decodePodRecord(encodeFollowed(followed)), { type: 'followed', followed })
})

test('keys both ways', () => {
  assert.deepEqual(parsePodKey(podKey('eu/1', 'uid.2')), { cluster: 'eu/1', key: 'uid.2' })
  assert.deepEqual(parsePodKey(podKey('lab', '')), { cluster: 'lab', key: '' })
  for (const foreign of [null, Buffer.alloc(0), Buffer.from('x')]) assert.equal(parsePodKey(foreign), null)
})

test('the schema says of each field what it is and has a default', () => {
  const { fields } = JSON.parse(POD_SCHEMA_TEXT) as { fields: Record<string, unknown>[] }
  for (const field of fields) assert.ok('default' in field && String(field.doc).length > 3, String(field.name))
})

test('foreign, cut and damaged messages are refused, whatever the bytes', () => {
  const bytes = encodeIdentity(identity('a', { containers: [{ id: 'c', name: 'n' }] }))
  const refused = (damaged: Buffer) => assert.throws(() => decodePodRecord(damaged), { code: 'BAD_POD' })
  refused(Buffer.from('{"kind":"pod"}'))
  refused(Buffer.concat([Buffer.from([0, 0, 0, 0, 1]), bytes.subarray(5)]))
  refused(Buffer.concat([bytes, Buffer.from([0])]))
  for (let size = 0; size < bytes.length; size++) refused(bytes.subarray(0, size))
  const random = new Random(4)
  for (let i = 0; i < 2000; i++) {
    const damaged = Buffer.from(bytes)
    damaged[5 + random.below(damaged.length - 5)] ^= 1 << random.below(8)
    try {
      decodePodRecord(damaged)
    } catch (error) {
      assert.equal((error as { code: string }).code, 'BAD_POD')
    }
  }
})

test('what a newer directory wrote is told apart from what is no pod message', () => {
  const newer = encodeIdentity(identity('a', {}))
  newer.writeInt32BE(POD_SCHEMA_ID + 1, 1)
  assert.throws(() => decodePodRecord(newer), {
    code: 'SCHEMA_NEWER',
    message: `a pod message has schema ${POD_SCHEMA_ID + 1}, this klartext knows up to ${POD_SCHEMA_ID}: update it first`,
  })
  newer.writeInt32BE(POD_SCHEMA_ID + 100, 1)
  assert.throws(() => decodePodRecord(newer), { code: 'BAD_POD' })
})
