/** A sink as a process of its own, with blocks small enough to come often. */
import { ClickHouseStore } from '../../services/adapters/clickhouse/store.js'
import { SYSTEM_CLOCK } from '../../services/adapters/system/clock.js'
import { Sink } from '../../services/sink/sink.js'
import { MortalStore } from '../sim/life.js'
import { live, onError } from './child.js'

const LIMITS = { rows: 2_000, ageMs: 200 }

await live(async (bus, life, { storeUrl, name }) => {
  const store = new MortalStore(new ClickHouseStore({ url: storeUrl }), life)
  const sink = new Sink({ bus, store, clock: SYSTEM_CLOCK, group: 'sink', epoch: name, limits: LIMITS, onError })
  await sink.start()
  return sink
})
