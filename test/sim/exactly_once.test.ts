/** A few hundred schedules of the simulation. `npm run test:sim -- --seed S --schedules N` plays others. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { simulate, type Tally } from './simulation.js'

const SCHEDULES = Number(process.env.KLARTEXT_SIM_SCHEDULES ?? 300)
const FIRST = Number(process.env.KLARTEXT_SIM_SEED ?? 1)

test('whatever is killed, fenced, stale or away: every flow is stored and published, and none twice', {
  timeout: 3_600_000,
}, async (t) => {
  const total: Partial<Tally> = {}
  for (let seed = FIRST; seed < FIRST + SCHEDULES; seed++) {
    const tally = await simulate(seed)
    for (const [name, count] of Object.entries(tally) as [keyof Tally, number][]) {
      total[name] = (total[name] ?? 0) + count
    }
  }
  const figures = Object.entries(total).map(([name, count]) => `${count} ${name}`)
  t.diagnostic(`${SCHEDULES} schedules from seed ${FIRST}: ${figures.join(', ')}`)
  if (SCHEDULES >= 50) {
    for (const [name, count] of Object.entries(total)) assert.ok(count > 0, `no ${name}: the simulation missed it`)
  }
})
