/**
 * Each of the ten questions against generated clusters: what was planted is answered, and nothing that only looks like it. The
 * generator (test/fakes/worlds) writes down what it planted; that alone judges.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { ChdbStore } from '../../services/adapters/chdb/store.js'
import { Incident } from '../fakes/worlds/incident.js'
import { Score } from '../fakes/worlds/score.js'

type Row = Record<string, unknown>

const SEEDS = [1, 2, 3, 4]
/** A whole hour, so that its minutes are whole; recent, since old rows leave by the TTL. */
const START_US = Math.floor(Date.now() / 3_600_000 - 2) * 3_600_000_000
const dataDir = mkdtempSync(join(tmpdir(), 'klartext-incident-'))
const worlds = SEEDS.map((seed) => new Incident(START_US, seed, `world${seed}`))
let store: ChdbStore

before(async () => {
  store = await ChdbStore.open(dataDir)
  for (const { flows, coverage, cluster } of worlds) {
    await store.insert('flows', flows, `${cluster}/flows`)
    // As after a lost acknowledgement.
    await store.insert('flows', flows, `${cluster}/flows`)
    await store.insert('coverage', coverage, `${cluster}/coverage`)
  }
})

after(async () => {
  await store.close()
  rmSync(dataDir, { recursive: true, force: true })
})

const time = (us: number) => new Date(us / 1000).toISOString().slice(0, 19).replace('T', ' ')

/** What a question answers of one world, in the order of the answer. */
async function ask(name: string, { cluster, startUs, untilUs }: Incident): Promise<Row[]> {
  const sql = `SELECT * FROM klartext.ask_${name}(since = '${time(startUs)}', until = '${time(untilUs)}')`
  const text = (await store.query(sql, 'JSONEachRow')).toString('utf8')
  const rows = text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Row)
  return rows.filter((row) => (row.client_cluster ?? row.server_cluster ?? row.cluster) === cluster)
}

const words =
  (...names: string[]) =>
  (row: Row) =>
    names.map((name) => row[name]).join(' ')

/** What an answer says, in the words of the world. */
const SAYS: Readonly<Record<string, (rows: readonly Row[], world: Incident) => string[]>> = {
  service_map: (rows) =>
    rows.map(words('client_workload', 'server_workload', 'protocol', 'server_cluster', 'requests')),
  // What failed before it is another row, and is the cause.
  first_failing: (rows) => rows.filter((row) => row.failed_before === '').map(words('server_workload')),
  client_network_server: (rows, { plants }) => {
    const pairs = [...(plants.get('client_network_server') ?? [])].map((pair) => pair.split(' ')[0])
    return rows
      .filter((row) => pairs.includes(String(row.client_workload)))
      .map(words('client_workload', 'server_workload', 'mostly'))
  },
  regression: (rows) => rows.map(words('server_workload')),
  slow_requests: (rows) => rows.filter((row) => Number(row.latency_ms) > 60_000).map(words('resource')),
  errors: (rows) =>
    rows.map(words('server_workload', 'protocol', 'method', 'endpoint', 'status_code', 'outcome', 'errors')),
  dns_failures: (rows) => rows.map(words('client_workload', 'name', 'failures')),
  // Whoever came within the hour, without those that have been there since its beginning.
  new_edges: (rows, world) =>
    rows.filter((row) => String(row.since) >= time(world.at(58))).map(words('client_workload', 'server_workload')),
  egress: (rows) => rows.map(words('client_workload', 'scope', 'bytes_out')),
  coverage: (rows) => rows.map(words('subject', 'reason', 'bytes')),
}

for (const [name, says] of Object.entries(SAYS)) {
  test(`${name}: what was planted and no look-alike`, async (t) => {
    const score = new Score()
    let decoys = 0
    for (const world of worlds) {
      score.add(says(await ask(name, world), world), world.plants.get(name) ?? [], `${world.cluster}: `)
      decoys += world.decoys.get(name)?.size ?? 0
    }
    t.diagnostic(`${name}: ${score}, ${decoys} look-alikes, ${worlds.length} worlds`)
    assert.ok(score.isPerfect, `wrong: ${score.wrong.join('; ')}\nmissed: ${score.missed.join('; ')}`)
  })
}
