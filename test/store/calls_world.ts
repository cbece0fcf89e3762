/** A world of calls in a store of its own, and what `klartext.calls` makes of it. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before } from 'node:test'
import { ChdbStore } from '../../services/adapters/chdb/store.js'
import { type Peer, type Truth, TwoEnds } from '../fakes/two_ends.js'

export const S = 1_000_000
const MINUTE = 60 * S
/** Recent, since old rows leave by the TTL; on the edge of five minutes. */
const START_US = Math.floor(Date.now() / 300_000 - 40) * 300_000 * 1000
/** Each part of the world has a span of its own. */
const PART_MINUTES = 10

export interface CallRow {
  readonly id: number
  readonly seen: 'both' | 'client' | 'server'
  readonly timed: number
  readonly total_us: number | null
  readonly network_us: number | null
  readonly server_us: number | null
  readonly client_us: number | null
  readonly network_request_us: number | null
  readonly network_response_us: number | null
  readonly clock_offset_us: number | null
  readonly clock_error_us: number | null
  readonly server_pod: string
  readonly server_service: string
  readonly req_bytes: number
  readonly resp_bytes: number
  readonly outcome: string
}

export const time = (us: number): string => new Date(us / 1000).toISOString().slice(0, 23).replace('T', ' ')

let store: ChdbStore
let parts = 0

/** Opens a store for the tests of a file. */
export function useStore(): void {
  const dataDir = mkdtempSync(join(tmpdir(), 'klartext-calls-'))
  before(async () => {
    store = await ChdbStore.open(dataDir)
  })
  after(async () => {
    await store.close()
    rmSync(dataDir, { recursive: true, force: true })
  })
}

export const command = (sql: string): Promise<void> => store.command(sql)

export async function rows<Row>(sql: string): Promise<Row[]> {
  const text = (await store.query(sql, 'JSONEachRow')).toString('utf8')
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Row)
}

export class Part extends TwoEnds {
  readonly fromUs: number

  constructor() {
    super(++parts)
    this.fromUs = START_US + parts * PART_MINUTES * MINUTE
  }

  /** No pair is made of two calls, whatever else is asked for. */
  async rows(fromUs = this.fromUs - 10 * S, toUs = this.fromUs + (PART_MINUTES - 1) * MINUTE): Promise<CallRow[]> {
    const flow = "(SELECT flow_id, toUInt32OrZero(request_id) AS id FROM klartext.flows WHERE request_id != '')"
    const found = await rows<CallRow & { client_id: number; server_id: number }>(`
      SELECT calls.*, c.id AS client_id, s.id AS server_id, if(seen = 'server', s.id, c.id) AS id
      FROM klartext.calls(since = '${time(fromUs)}', until = '${time(toUs)}') AS calls
      LEFT JOIN ${flow} AS c ON c.flow_id = ifNull(calls.client_flow_id, 0)
      LEFT JOIN ${flow} AS s ON s.flow_id = ifNull(calls.server_flow_id, 0)
      ORDER BY id, seen`)
    for (const { seen, client_id, server_id } of found)
      if (seen === 'both') assert.equal(client_id, server_id, 'two calls were taken for one')
    return found
  }

  async store(): Promise<CallRow[]> {
    await store.insert('flows', this.flows, `part-${this.fromUs}`)
    return this.rows()
  }
}

/** Every call once, with the ends that saw it; no share negative, all of them together the whole. */
export function assertTrue(found: readonly CallRow[], truths: readonly Truth[]): void {
  assert.deepEqual(
    found.map(({ id, seen }) => `${id} ${seen}`),
    truths.map(({ sides }, id) => `${id} ${sides}`),
  )
  for (const row of found) {
    const truth = truths[row.id]
    assert.deepEqual([row.req_bytes, row.resp_bytes], [truth.bytes, 2 * truth.bytes])
    if (row.seen !== 'both') {
      const unknown = [row.network_us, row.client_us, row.network_request_us, row.clock_offset_us]
      assert.deepEqual(unknown, [null, null, null, null])
      assert.equal(row.total_us === null, row.seen === 'server')
      assert.equal(row.server_us === null, row.seen === 'client')
      continue
    }
    const [network, there, back] = [row.network_us, row.network_request_us, row.network_response_us].map(Number)
    const sum = network + Number(row.server_us) + Number(row.client_us)
    assert.equal(sum, row.total_us)
    assert.equal(there + back, network)
    for (const share of [network, there, back, row.server_us, row.client_us]) assert.ok(Number(share) >= 0)
    // The clocks of a test run at rates that differ by up to 100 ppm.
    near(network, truth.upUs + truth.downUs, 20)
    near(Number(row.server_us), truth.serverUs, 20)
    near(there, truth.upUs, Number(row.clock_error_us) + 20)
  }
}

export function near(found: number, truth: number, within: number): void {
  assert.ok(Math.abs(found - truth) <= within, `${found} for ${truth}, within ${within}`)
}

export const peer = (node: string, pod: string, ip: string, cluster = 'lab'): Peer => ({ cluster, node, pod, ip })
export const A: Peer = peer('node-a', 'front-1', '10.1.0.1')
export const B: Peer = peer('node-b', 'api-1', '10.1.0.2')
