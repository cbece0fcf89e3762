/** Four days of one cluster as klartext.pods has them when Kafka has cleaned nothing away yet. */
import { Kafka, logLevel } from 'kafkajs'
import type { KafkaBus } from '../../../services/adapters/kafka/bus.js'
import { STILL_VALID_US } from '../../../services/core/pods.js'
import type { BusMessage } from '../../../services/core/ports/bus.js'
import { createTopics, TOPICS } from '../../../services/core/topics.js'
import { encodeFollowed, encodeIdentity, podKey } from '../../../services/core/wire/pods.js'
import { benchIdentities } from './identities.js'

const DAYS_S = 4 * 86_400
const SEND_MAX = 5_000
const S = 1_000_000

export interface Restlessness {
  readonly pods: number
  /** How often each pod was replaced by another one, evenly in the last `withinS` seconds. */
  readonly replaced: number
  readonly withinS: number
}

/** The topic with times of its own: real ones are the broker's, and nobody waits four days. */
export async function tellHistory(
  bus: KafkaBus,
  brokers: readonly string[],
  { pods, replaced, withinS }: Restlessness,
): Promise<void> {
  const admin = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING }).admin()
  await admin.connect()
  const configEntries = [{ name: 'message.timestamp.type', value: 'CreateTime' }]
  await admin.createTopics({ topics: [{ topic: TOPICS.pods, numPartitions: 1, configEntries }] })
  await admin.disconnect()
  await createTopics(bus, 1)
  const identities = benchIdentities(pods)
  const nowS = Math.floor(Date.now() / 1000)
  const firstS = nowS - DAYS_S
  /** By second: which life of which pod begins. */
  const begins = new Map<number, [pod: number, life: number][]>()
  for (let life = 0; life <= replaced; life++) {
    for (let pod = 0; pod < pods; pod++) {
      const agoS = life === 0 ? DAYS_S - 60 : Math.ceil((withinS * (replaced - life + 1 - pod / pods)) / replaced)
      const second = nowS - agoS
      const there = begins.get(second)
      if (there === undefined) begins.set(second, [[pod, life]])
      else there.push([pod, life])
    }
  }
  const producer = await bus.producer()
  let messages: BusMessage[] = []
  const flush = async () => {
    if (messages.length > 0) await producer.send(TOPICS.pods, 0, messages)
    messages = []
  }
  for (let second = firstS; second < nowS; second++) {
    const timestampMs = second * 1000
    const told = (pod: number, life: number, validToUs: number, service: string) => {
      const key = `${identities[pod].key}-${life}`
      const validFromUs = (second - 2) * S
      const value = encodeIdentity({ ...identities[pod], key, podUid: key, validFromUs, validToUs, service })
      messages.push({ key: podKey('bench', key), value, timestampMs })
    }
    for (const [pod, life] of begins.get(second) ?? []) {
      if (life > 0) told(pod, life - 1, (second - 1) * S, identities[pod].service)
      for (const service of ['', identities[pod].service]) told(pod, life, STILL_VALID_US, service)
    }
    const value = encodeFollowed({ cluster: 'bench', network: '', untilUs: second * S })
    messages.push({ key: podKey('bench', ''), value, timestampMs })
    if (messages.length >= SEND_MAX) await flush()
  }
  await flush()
  await producer.close()
}
