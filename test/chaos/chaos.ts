/**
 * The chaos run: traffic of four protocols through a real Kafka, decode workers and sinks into a real store, while all of them
 * are killed, cut off, stopped and moved. What is there at the end must be what the same segments give when nothing happens.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ChdbStore } from '../../services/adapters/chdb/store.js'
import { KafkaBus } from '../../services/adapters/kafka/bus.js'
import type { Bus, TopicPartition } from '../../services/core/ports/bus.js'
import { Random } from '../../services/core/random.js'
import { createTopics, TOPICS } from '../../services/core/topics.js'
import { TALKS } from '../fakes/conversations/talks.js'
import { Cluster } from './cluster.js'
import { Disturbances, plan } from './disturbances.js'
import { Generator } from './generator.js'
import { checkInput } from './input.js'
import { flowCounts, outcomeDifferences, outcomeOf } from './outcome.js'
import { publishedSegments, runUndisturbed } from './undisturbed.js'

const PARTITIONS = 6
const WORKERS = 3
const SINKS = 2
const CONNECTIONS = 120
const PAUSE_MS = 25
const CONSUMED_MS_MAX = 240_000

export interface ChaosOptions {
  readonly seed: number
  readonly kills: number
  /** Told what happens, line by line. */
  readonly say: (line: string) => void
}

export interface ChaosReport {
  /** '' where all is as it must be. */
  readonly differences: string
  readonly figures: string[]
}

export async function runChaos({ seed, kills, say: print }: ChaosOptions): Promise<ChaosReport> {
  const begun = Date.now()
  const seconds = () => ((Date.now() - begun) / 1000).toFixed(1)
  const say = (line: string) => print(`${seconds()} ${line}`)
  const cluster = await Cluster.start(say)
  let bus: KafkaBus | null = null
  try {
    bus = await KafkaBus.connect({ brokers: cluster.brokers })
    await createTopics(bus, PARTITIONS)
    for (let i = 0; i < WORKERS; i++) cluster.start('decode', i === 0)
    for (let i = 0; i < SINKS; i++) cluster.start('sink', i === 0)
    const onError = (error: unknown) => say(`generator: ${(error as Error).message}`)
    const generator = new Generator({
      bus,
      random: new Random(seed + 1),
      partitions: PARTITIONS,
      connections: CONNECTIONS,
      pauseMs: PAUSE_MS,
      onError,
    })
    await generator.start()
    await sleep(1_000)
    const disturbances = new Disturbances(cluster, new Random(seed + 2), say)
    await disturbances.play(plan(new Random(seed), kills))
    say('--- the disturbances are over')
    await generator.end()
    await consumed(bus, 'decode', [TOPICS.segments])
    say('all segments are decoded')
    await consumed(bus, 'sink', [TOPICS.flows, TOPICS.connections, TOPICS.coverage])
    say('all flows are stored')
    await Promise.all([...cluster.members].map((member) => cluster.end(member, 'SIGTERM')))
    const took = `${kills} kills and what else happened: ${seconds()} s; ${JSON.stringify(disturbances.done)}`
    const { differences, figures } = await judge(cluster, bus, generator)
    return { differences, figures: [took, ...figures, `compared after ${seconds()} s`] }
  } finally {
    await bus?.close()
    await cluster.close()
  }
}

async function judge(cluster: Cluster, bus: Bus, generator: Generator): Promise<ChaosReport> {
  const folder = mkdtempSync(join(tmpdir(), 'klartext-chaos-'))
  const segments = await publishedSegments(bus)
  const store = await ChdbStore.open(join(folder, 'store'))
  try {
    const memory = await runUndisturbed(segments, store)
    const actual = await outcomeOf(bus, cluster.store)
    const expected = await outcomeOf(memory, store)
    const stores = { actual: cluster.store, expected: store }
    const found = [
      await checkInput(bus, segments, generator),
      await outcomeDifferences(actual, expected, stores),
      await countDifferences(cluster.store, generator),
    ].filter(Boolean)
    const { byProtocol } = await flowCounts(cluster.store)
    const messages = segments.reduce((sum, { length }) => sum + length, 0)
    return {
      differences: found.join('\n'),
      figures: [
        `${generator.segments} segments of ${generator.connections} connections in ${messages} messages`,
        `flows: ${JSON.stringify(byProtocol)}; ${Object.entries(expected)
          .map(([name, { length }]) => `${name} ${length}`)
          .join(', ')}`,
        `processes that ended by themselves ${cluster.ends}; dead letters ${generator.poisoned}; connections cut: ${cluster.busProxy.cuts} to Kafka, ${cluster.storeProxy.cuts} to the store`,
      ],
    }
  } finally {
    await store.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** What was asked on the connections, each once; also the part that an undisturbed run could get wrong as well. */
async function countDifferences(store: ChdbStore, generator: Generator): Promise<string> {
  const { byProtocol, doubled } = await flowCounts(store)
  const wrong = TALKS.filter((talk) => byProtocol[talk] !== generator.exchanges[talk])
  const lines = wrong.map((talk) => `${talk}: ${generator.exchanges[talk]} exchanges, ${byProtocol[talk]} flows`)
  if (doubled > 0) lines.push(`${doubled} flows are stored twice`)
  return lines.join('\n')
}

/** Until the group has committed all that can be read of the topics, to which nothing is added any more. */
async function consumed(bus: Bus, group: string, topics: readonly string[]): Promise<void> {
  const ends: (TopicPartition & { last: bigint })[] = []
  for (const topic of topics) {
    for (let partition = 0; partition < (await bus.partitions(topic)); partition++) {
      let last = -1n
      await bus.readAll(topic, partition, (records) => {
        last = records.at(-1)?.offset ?? last
      })
      if (last >= 0n) ends.push({ topic, partition, last })
    }
  }
  const reader = await bus.consumer(group)
  for (const until = Date.now() + CONSUMED_MS_MAX; ; await sleep(200)) {
    const left: string[] = []
    for (const { topic, partition, last } of ends) {
      const { offset, metadata } = await reader.committed({ topic, partition })
      if (offset <= last || metadata !== '') left.push(`${topic}/${partition} at ${offset} of ${last} ${metadata}`)
    }
    if (left.length === 0) break
    if (Date.now() > until) throw new Error(`${group} does not come to its end: ${left.join(', ')}`)
  }
  await reader.close()
}
