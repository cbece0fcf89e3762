import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryBus } from '../adapters/memory/bus.js'
import { checkTopics, createTopics, TOPIC_RULES, TOPICS } from './topics.js'

test('each topic has a rule, all are made, and making them again changes nothing', async () => {
  assert.deepEqual([...TOPIC_RULES.keys()].sort(), Object.values(TOPICS).sort())
  const bus = new MemoryBus()
  await createTopics(bus, 5)
  await createTopics(bus, 5)
  assert.equal(await checkTopics(bus, Object.values(TOPICS)), 5)
  assert.equal(await bus.partitions(TOPICS.deadLetters), 1)
  assert.equal(await checkTopics(bus, [TOPICS.pods]), 0)
})

test('a missing topic and a changed partition count are told', async () => {
  const bus = new MemoryBus()
  await assert.rejects(checkTopics(bus, [TOPICS.segments]), { code: 'UNKNOWN_TOPIC' })
  await bus.createTopic(TOPICS.segments, 3)
  await bus.createTopic(TOPICS.flows, 4)
  await assert.rejects(checkTopics(bus, [TOPICS.segments, TOPICS.flows]), { code: 'PARTITIONS_CHANGED' })
  await assert.rejects(createTopics(bus, 3), { code: 'PARTITIONS_CHANGED', message: /klartext\.flows has 4/ })
})
