/** Findings are told once, whatever happens to those who tell: kills, failed calls, two processes that run the same rule. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryBus } from '../../services/adapters/memory/bus.js'
import type { Finding } from '../../services/core/finding.js'
import { Random } from '../../services/core/random.js'
import { createTopics, TOPICS } from '../../services/core/topics.js'
import { FindingPublisher } from '../../services/detect/publisher.js'
import { Killed, Life } from './life.js'
import { MortalBus } from './mortal_bus.js'

const SCHEDULES = 60
const SLOTS = 12
const PROCESSES = 2
const TRIES_MAX = 400
const ODDS = { die: 0.04, fail: 0.06, stall: 0 }

const findingsOf = (slot: number): Finding[] =>
  Array.from({ length: 1 + (slot % 3) }, (_, i) => ({
    ts: slot * 60e6,
    uid: `${slot}-${i}`,
    rule: 'burst',
    title: 'Burst',
    severity: 'high',
    attack: '',
    subject: `s${i}`,
    summary: 'it burst',
    score: 1,
    evidence: ['1'],
    attrs: {},
  }))

/** One process: tells slot after slot and is started anew when it dies. Answers how often it died. */
async function tellAll(bus: MemoryBus, random: Random): Promise<number> {
  let deaths = 0
  const start = () => new FindingPublisher(new MortalBus(bus, new Life(random, ODDS)), 'detect')
  let publisher = start()
  for (let slot = 1; slot <= SLOTS; slot++) {
    for (let tries = 0; ; tries++) {
      assert.ok(tries < TRIES_MAX, 'it never gets through')
      try {
        await publisher.publish('burst', slot * 60e6, findingsOf(slot))
        break
      } catch (error) {
        if (!(error instanceof Killed)) continue
        deaths += 1
        publisher = start()
      }
    }
  }
  return deaths
}

test('each finding is in the topic once, in order', async (t) => {
  let deaths = 0
  for (let seed = 1; seed <= SCHEDULES; seed++) {
    const bus = new MemoryBus()
    await createTopics(bus, 1)
    const random = new Random(seed)
    const died = await Promise.all(Array.from({ length: PROCESSES }, () => tellAll(bus, random)))
    deaths += died.reduce((sum, count) => sum + count, 0)
    // Whatever is still open is undone by whoever comes next.
    const last = new FindingPublisher(bus, 'detect')
    await last.publish('burst', (SLOTS + 1) * 60e6, findingsOf(SLOTS + 1))
    const uids: string[] = []
    await bus.readAll(TOPICS.findings, 0, (records) => uids.push(...records.map(({ key }) => String(key))))
    const expected = Array.from({ length: SLOTS + 1 }, (_, i) => findingsOf(i + 1).map(({ uid }) => uid)).flat()
    assert.deepEqual(uids, expected, `seed ${seed}`)
    await bus.close()
  }
  t.diagnostic(`${SCHEDULES} schedules, ${deaths} kills, every finding told once`)
})
