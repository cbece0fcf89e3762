/** Whether a broker and klartext have a version of each request in common; kafkajs looks at the upper end only. */
import { KlartextError } from '../../core/errors.js'
import type { Broker } from './broker.js'
import { implementedVersions } from './kafkajs.js'
import { OWN_REQUESTS } from './requests.js'

/** Requests that are sent through kafkajs. */
const THROUGH_KAFKAJS = [
  'ListOffsets',
  'Metadata',
  'OffsetCommit',
  'GroupCoordinator',
  'JoinGroup',
  'Heartbeat',
  'LeaveGroup',
  'SyncGroup',
  'CreateTopics',
  'InitProducerId',
  'AddPartitionsToTxn',
  'AddOffsetsToTxn',
  'EndTxn',
  'TxnOffsetCommit',
  'DescribeConfigs',
] as const

/** Throws `BUS_VERSION` naming each request that does not fit. */
export function checkVersions(broker: Pick<Broker, 'versions'>, where: string): void {
  const wrong: string[] = []
  const check = (name: string, apiKey: number, low: number, high: number) => {
    const offered = broker.versions[apiKey]
    if (offered === undefined) wrong.push(`no ${name}`)
    else if (high < offered.minVersion || low > offered.maxVersion) {
      const spoken = low === high ? `${low}` : `${low}-${high}`
      wrong.push(`${name} ${offered.minVersion}-${offered.maxVersion} (klartext speaks ${spoken})`)
    }
  }
  for (const [name, [apiKey, version]] of Object.entries(OWN_REQUESTS)) check(name, apiKey, version, version)
  for (const name of THROUGH_KAFKAJS) {
    const { apiKey, low, high } = implementedVersions(name)
    check(name, apiKey, low, high)
  }
  if (wrong.length === 0) return
  throw new KlartextError('BUS_VERSION', `Kafka at ${where} speaks other versions of its protocol: ${wrong.join(', ')}`)
}
