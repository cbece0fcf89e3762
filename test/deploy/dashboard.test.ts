/** Each panel of the provisioned dashboard asks what the store can answer: its SQL runs on rows of a seed. */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { parse } from 'yaml'
import { ChdbStore } from '../../services/adapters/chdb/store.js'
import { Random } from '../../services/core/random.js'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import { seededFlow } from '../fakes/flows.js'

const FOLDER = join(REPO_ROOT, 'k8s/grafana')
interface Dashboard {
  readonly uid: string
  readonly panels: readonly {
    readonly title: string
    readonly datasource: { readonly type: string; readonly uid: string }
    readonly targets: readonly { readonly rawSql: string; readonly queryType: string }[]
  }[]
}
const dashboards = readdirSync(join(FOLDER, 'dashboards'))
  .filter((name) => name.endsWith('.json'))
  .map((name) => JSON.parse(readFileSync(join(FOLDER, 'dashboards', name), 'utf8')) as Dashboard)

const dataDir = mkdtempSync(join(tmpdir(), 'klartext-dashboard-'))
let store: ChdbStore
before(async () => {
  store = await ChdbStore.open(dataDir)
  const random = new Random(1)
  const startUs = (Date.now() - 600_000) * 1000
  await store.insert(
    'flows',
    Array.from({ length: 5_000 }, (_, i) => seededFlow(random, i, startUs)),
    'seed',
  )
})
after(async () => {
  await store.close()
  rmSync(dataDir, { recursive: true, force: true })
})

/** What the data source's macros stand for (its documentation, "Macros"). */
function expand(sql: string): string {
  return sql
    .replace(/\$__timeFilter\((\w+)\)/g, '$1 >= now() - 3600 AND $1 <= now() + 60')
    .replace(/\$__timeInterval\((\w+)\)/g, 'toStartOfInterval(toDateTime($1), INTERVAL 60 second)')
    .replaceAll('$__interval_s', '60')
    .replaceAll('$__fromTime', 'toDateTime(now() - 3600)')
    .replaceAll('$__toTime', 'toDateTime(now())')
}

test('panels: a known data source, SQL that runs, times and values where a graph needs them', async () => {
  const { datasources } = parse(readFileSync(join(FOLDER, 'datasources/clickhouse.yaml'), 'utf8')) as {
    datasources: { type: string; uid: string }[]
  }
  assert.ok(dashboards.length >= 1)
  for (const { panels } of dashboards) {
    for (const { title, datasource, targets } of panels) {
      assert.ok(
        datasources.some(({ type, uid }) => type === datasource.type && uid === datasource.uid),
        title,
      )
      for (const { rawSql, queryType } of targets) {
        const sql = expand(rawSql)
        assert.doesNotMatch(sql, /\$/, title)
        const answer = JSON.parse((await store.query(sql, 'JSON')).toString()) as {
          meta: { name: string; type: string }[]
          rows: number
        }
        const withoutRows = title.startsWith('Coverage')
        assert.ok(answer.rows > 0 || withoutRows, `${title}: no rows`)
        if (queryType === 'timeseries') {
          assert.match(answer.meta.find(({ name }) => name === 'time')?.type ?? '', /^DateTime/, title)
          assert.match(answer.meta.find(({ name }) => name === 'value')?.type ?? '', /^(Float|UInt)/, title)
        }
      }
    }
  }
})
