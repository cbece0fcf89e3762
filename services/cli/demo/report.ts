/** What the demo prints of its store. */
import type { ChdbStore } from '../../adapters/chdb/store.js'

const EDGES = `
SELECT comm AS process, capture_side AS acts_as, if(capture_side = 'client', concat('-> :', toString(server_port)), concat('on :', toString(server_port))) AS where_to,
  count() AS requests, countIf(outcome IN ('server_error', 'no_response', 'reset')) AS errors, countIf(outcome = 'client_error') AS refused,
  round(quantile(0.5)(latency_us) / 1000, 2) AS p50_ms, round(quantile(0.99)(latency_us) / 1000, 2) AS p99_ms
FROM klartext.flows GROUP BY process, acts_as, server_port, where_to ORDER BY requests DESC, process, acts_as`

const PATHS = `
SELECT comm AS process, capture_side AS acts_as, method, resource, status_code AS status, round(latency_us / 1000, 2) AS ms
FROM klartext.flows WHERE protocol = 'http1' ORDER BY cityHash64(resource, comm) LIMIT 6`

/** `detail` is kind, version and the functions that have probes. */
const LIBRARIES = `
SELECT state, splitByChar('/', path)[-1] AS file, arrayStringConcat(arraySlice(splitByChar(' ', any(detail)), 1, 2), ' ') AS what,
  length(extractAll(any(detail), '(?:SSL|BIO|ssl)_[A-Za-z_]+')) AS probes,
  arrayStringConcat(arraySort(groupUniqArrayIf(process, process != '')), ' ') AS processes, any(why) AS reason
FROM (
  SELECT subject AS path, state, detail, '' AS process, reason AS why FROM klartext.coverage WHERE kind = 'library'
  UNION ALL SELECT detail, if(state = 'covered', 'hooked', 'not_hooked'), '', subject, '' FROM klartext.coverage WHERE kind = 'process'
) GROUP BY path, state HAVING what != '' AND what NOT LIKE 'libcrypto%' ORDER BY state, file`

const BYTES = `
SELECT kind, subject, reason, sum(bytes) AS bytes, sum(count) AS times FROM klartext.coverage
WHERE kind IN ('bytes', 'loss') GROUP BY kind, subject, reason ORDER BY kind, bytes DESC`

const QUERIES: readonly (readonly [string, string])[] = [
  [
    'the slowest endpoints',
    `SELECT endpoint, count() AS requests, round(quantile(0.95)(latency_us) / 1000, 1) AS p95_ms FROM klartext.flows WHERE capture_side = 'server' GROUP BY endpoint ORDER BY p95_ms DESC LIMIT 5`,
  ],
  [
    'who gets errors, and where',
    `SELECT comm, endpoint, status_code, count() AS times FROM klartext.flows WHERE status_code >= 400 GROUP BY ALL ORDER BY times DESC LIMIT 5`,
  ],
  [
    'what was masked before it was stored',
    `SELECT arrayJoin(redactions) AS masked, count() AS flows, any(resource) AS example FROM klartext.flows GROUP BY masked ORDER BY flows DESC LIMIT 5`,
  ],
]

/** `live`: what was hooked and what was left out is known of a host that was captured, not of a recording. */
export async function printReport(
  store: ChdbStore,
  print: (text: string) => void,
  { dataDir, live }: { dataDir: string; live: boolean },
): Promise<void> {
  const show = async (sql: string) =>
    print((await store.query(sql, 'PrettySpaceNoEscapesMonoBlock')).toString('utf8').replace(/^\n/, ''))
  print('\nWHO TALKED TO WHOM\n')
  await show(EDGES)
  print('\nSOME FLOWS, DECRYPTED WITHOUT A KEY\n')
  await show(PATHS)
  if (live) {
    print('\nCOVERAGE: WHAT WAS HOOKED, AND WHAT WAS NOT\n')
    await show(LIBRARIES)
    print('\nBYTES SEEN, LEFT OUT ON PURPOSE (muted: ciphertext of what was captured as plaintext), AND LOST\n')
    await show(BYTES)
  }
  print('\nTRY NEXT\n')
  for (const [title, sql] of QUERIES) {
    print(`-- ${title}\nnpx klartext sql --data ${dataDir} "${sql}"\n`)
    await show(sql)
  }
}
