/**
 * How long a worker that starts takes to know who is who: klartext.pods read from a real Kafka, of a calm cluster and of one
 * whose pods have come and gone for days, beside reading the same records without making anything of them.
 */
import { KafkaBus } from '../../services/adapters/kafka/bus.js'
import { PodTable } from '../../services/adapters/memory/pod_table.js'
import { SYSTEM_CLOCK } from '../../services/adapters/system/clock.js'
import type { BusMessage } from '../../services/core/ports/bus.js'
import { createTopics, TOPICS } from '../../services/core/topics.js'
import { encodeFollowed, encodeIdentity, podKey } from '../../services/core/wire/pods.js'
import { PodFeed } from '../../services/decode/pod_feed.js'
import { ownKafka } from '../kafka/test_kafka.js'
import { benchIdentities } from './pods/identities.js'

const VERSIONS = 3
const SEND_MAX = 2_000
const S = 1_000_000

export async function main(words: readonly string[]): Promise<number> {
  const pods = Number(words[0] ?? 20_000)
  /** How often each pod was replaced by another one. */
  const lives = Number(words[1] ?? 8)
  const kafka = await ownKafka()
  if (typeof kafka === 'string') throw new Error(kafka)
  const bus = await KafkaBus.connect({ brokers: kafka.brokers })
  try {
    await createTopics(bus, 1)
    const now = benchIdentities(pods)
    for (let life = 0; life <= lives; life++) {
      await tell(bus, now, life, life === lives)
      if (life === 0 || life === lives) await report(bus, pods, life + 1)
    }
  } finally {
    await bus.close()
    await kafka.stop()
  }
  return 0
}

type Identities = ReturnType<typeof benchIdentities>

async function tell(bus: KafkaBus, now: Identities, life: number, isLast: boolean): Promise<void> {
  const producer = await bus.producer()
  let messages: BusMessage[] = []
  const flush = async () => {
    if (messages.length > 0) await producer.send(TOPICS.pods, 0, messages)
    messages = []
  }
  const nowUs = Date.now() * 1000
  for (const identity of now) {
    const key = `${identity.key}-${life}`
    const validFromUs = nowUs - 10 * S
    for (let version = 0; version < VERSIONS; version++) {
      const isOver = !isLast && version === VERSIONS - 1
      const more = { key, podUid: key, validFromUs, validToUs: isOver ? nowUs : identity.validToUs }
      messages.push({ key: podKey('bench', key), value: encodeIdentity({ ...identity, ...more }) })
    }
    if (messages.length >= SEND_MAX) await flush()
  }
  messages.push({
    key: podKey('bench', ''),
    value: encodeFollowed({ cluster: 'bench', network: '', untilUs: Date.now() * 1000 }),
  })
  await flush()
  await producer.close()
}

async function report(bus: KafkaBus, pods: number, lives: number): Promise<void> {
  const readMs = await timed(() => bus.readAll(TOPICS.pods, 0, () => {}))
  let feed: PodFeed | null = null
  const feedMs = await timed(async () => {
    feed = new PodFeed({ bus, clock: SYSTEM_CLOCK, pods: new PodTable() })
    await feed.step()
  })
  const { records } = feed as unknown as PodFeed
  const perSecond = Math.round(records / feedMs)
  console.log(
    `${pods} pods, ${lives} lives each: ${records} records; known after ${feedMs} ms (${perSecond} k/s), only read ${readMs} ms`,
  )
}

/** ms, the middle of three. */
async function timed(call: () => Promise<void>): Promise<number> {
  const rounds: number[] = []
  for (let i = 0; i < 3; i++) {
    const begun = performance.now()
    await call()
    rounds.push(performance.now() - begun)
  }
  return Math.round(rounds.sort((a, b) => a - b)[1])
}
