/** Messages of klartext.pods: Confluent's frame around the Avro of schemas/avro/pod.avsc. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { KlartextError, NewerSchemaError } from '../errors.js'
import type { Followed, Identity, IdentityContainer, IdentityKind, PodRecord } from '../pods.js'
import { REPO_ROOT } from '../repo_root.js'
import { SharedTexts } from '../shared_texts.js'
import { AvroInput, AvroOutput } from './avro.js'

/** Under which klartext's own schema registry serves pod.avsc. */
export const POD_SCHEMA_ID = 3

export const POD_SCHEMA_TEXT: string = readFileSync(join(REPO_ROOT, 'schemas/avro/pod.avsc'), 'utf8')

const FRAME_BYTES = 5
const FRAME = Buffer.from([0, 0, 0, 0, POD_SCHEMA_ID])
const KINDS: ReadonlySet<string> = new Set<IdentityKind>(['pod', 'service', 'node', 'namespace'])
const CLUSTER = 'cluster'

const scratch = new AvroOutput(4096)

/** Key of the message of an identity, or with an empty key of how far its cluster was followed. */
export function podKey(cluster: string, key: string): Buffer {
  return Buffer.from(`${cluster}/${key}`)
}

/** The inverse; null for what is no such key. Keys of objects have no slash. */
export function parsePodKey(bytes: Buffer | null): { cluster: string; key: string } | null {
  const text = bytes?.toString('utf8') ?? ''
  const slash = text.lastIndexOf('/')
  return slash < 0 ? null : { cluster: text.slice(0, slash), key: text.slice(slash + 1) }
}

export function encodeIdentity(identity: Identity): Buffer {
  return encode(identity.kind, identity, '')
}

export function encodeFollowed({ cluster, network, untilUs }: Followed): Buffer {
  return encode(CLUSTER, { ...NOBODY, cluster, validToUs: untilUs }, network)
}

const NOBODY: Identity = {
  key: '',
  kind: 'pod',
  cluster: '',
  namespace: '',
  name: '',
  workload: '',
  workloadKind: '',
  node: '',
  zone: '',
  region: '',
  service: '',
  serviceAccount: '',
  podUid: '',
  addresses: [],
  containers: [],
  validFromUs: 0,
  validToUs: 0,
}

export function encodePodRecord(record: PodRecord): Buffer {
  return record.type === 'identity' ? encodeIdentity(record.identity) : encodeFollowed(record.followed)
}

function encode(kind: string, identity: Identity, network: string): Buffer {
  const out = scratch
  out.clear()
  out.raw(FRAME)
  out.text(kind)
  out.text(identity.cluster)
  out.text(identity.key)
  out.text(identity.namespace)
  out.text(identity.name)
  out.text(identity.workload)
  out.text(identity.workloadKind)
  out.text(identity.node)
  out.text(identity.zone)
  out.text(identity.region)
  out.text(identity.service)
  out.text(identity.serviceAccount)
  out.text(identity.podUid)
  list(out, identity.addresses, (address) => out.text(address))
  list(out, identity.containers, ({ id, name }) => {
    out.text(id)
    out.text(name)
  })
  out.long(identity.validFromUs)
  out.long(identity.validToUs)
  out.text(network)
  return out.copy()
}

function list<T>(out: AvroOutput, items: readonly T[], write: (item: T) => void): void {
  if (items.length > 0) {
    out.long(items.length)
    for (const item of items) write(item)
  }
  out.long(0)
}

const shared = new SharedTexts()

/** Throws KlartextError `BAD_POD` for what is not one whole record in the known schema, NewerSchemaError for one to come. */
export function decodePodRecord(bytes: Buffer): PodRecord {
  if (bytes.length < FRAME_BYTES || bytes[0] !== 0)
    throw new KlartextError('BAD_POD', 'a pod message has no schema frame')
  const id = bytes.readInt32BE(1)
  NewerSchemaError.check('a pod message has schema', id, POD_SCHEMA_ID)
  if (id !== POD_SCHEMA_ID) {
    throw new KlartextError('BAD_POD', `a pod message has schema ${id}, this reader knows ${POD_SCHEMA_ID}`)
  }
  const input = new AvroInput(bytes, 'a pod message', 'BAD_POD', FRAME_BYTES)
  const kind = input.text()
  if (kind !== CLUSTER && !KINDS.has(kind)) throw input.bad(`kind ${JSON.stringify(kind.slice(0, 40))}`)
  const text = () => shared.of(input.text())
  const [cluster, key, namespace, name] = [text(), input.text(), text(), input.text()]
  const [workload, workloadKind, node, zone, region] = [text(), text(), text(), text(), text()]
  const [service, serviceAccount, podUid] = [text(), text(), input.text()]
  const addresses = items(input, () => input.text())
  const containers: IdentityContainer[] = items(input, () => ({ id: input.text(), name: text() }))
  const validFromUs = input.count('valid_from')
  const validToUs = input.count('valid_to')
  const network = text()
  if (input.remaining > 0) throw input.bad(`${input.remaining} bytes too many`)
  if (kind === CLUSTER) return { type: 'followed', followed: { cluster, network, untilUs: validToUs } }
  const identity: Identity = {
    key,
    kind: kind as IdentityKind,
    cluster,
    namespace,
    name,
    workload,
    workloadKind,
    node,
    zone,
    region,
    service,
    serviceAccount,
    podUid,
    addresses,
    containers,
    validFromUs,
    validToUs,
  }
  return { type: 'identity', identity }
}

function items<T>(input: AvroInput, read: () => T): T[] {
  const values: T[] = []
  for (let count = input.blockCount(); count > 0; count = input.blockCount()) {
    for (let i = 0; i < count; i++) values.push(read())
  }
  return values
}
