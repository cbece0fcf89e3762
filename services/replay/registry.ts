/**
 * What the store knows of replays. The store is the one truth about them: Redis holds names of jobs only, and may be lost.
 * Of two that write at once the first one wins where a row is made (its token is known then), and the higher version where
 * one is changed.
 */
import { KlartextError } from '../core/errors.js'
import type { Clock } from '../core/ports/clock.js'
import type { Store } from '../core/ports/store.js'
import {
  REPLAY_COLUMNS,
  REPLAY_PART_COLUMNS,
  type ReplayPart,
  type ReplayPartRow,
  type ReplayRequest,
  type ReplayRow,
  type ReplayState,
} from '../core/replay.js'
import { jsonRows } from '../core/wire/json_rows.js'
import { parseRequest, replayTables } from './request.js'

export interface Replay {
  readonly id: string
  readonly generation: number
  readonly submittedUs: number
  readonly updatedUs: number
  readonly state: ReplayState
  readonly request: ReplayRequest
  readonly parts: readonly ReplayPart[]
  readonly error: string
}

/** Version of a part that is done: above every position. */
const DONE_VERSION = 2 ** 53 - 1
/** A table is made as another one is, but for its TTL, which goes by the time of the traffic: old traffic would be gone at once. */
const TABLES = ['flows', 'connections'] as const

export class ReplayRegistry {
  readonly #store: Store
  readonly #clock: Clock
  #lastVersion = 0

  constructor(store: Store, clock: Clock) {
    this.#store = store
    this.#clock = clock
  }

  /** The newest generation of each replay, latest first; those that were removed are not among them. */
  async list(): Promise<Replay[]> {
    const all = await this.#replays('1')
    return all.filter(({ state }) => state !== 'removed')
  }

  /** The newest generation, also one that was removed; null where there never was one. */
  async find(id: string): Promise<Replay | null> {
    return (await this.#replays(`id = '${id}'`))[0] ?? null
  }

  /** Throws `NO_SUCH_REPLAY`. */
  async get(id: string): Promise<Replay> {
    const replay = await this.find(id)
    if (replay !== null && replay.state !== 'removed') return replay
    throw new KlartextError('NO_SUCH_REPLAY', `there is no ${id}; klartext replay list shows what there is`)
  }

  async #replays(condition: string): Promise<Replay[]> {
    const columns = columnList(REPLAY_COLUMNS)
    const sql = `SELECT ${columns} FROM klartext.replays FINAL WHERE ${condition}
      ORDER BY id, generation DESC LIMIT 1 BY id`
    const rows = (await this.#rows(sql)) as unknown as Record<keyof ReplayRow, string>[]
    return rows.map(toReplay).sort((a, b) => b.submittedUs - a.submittedUs)
  }

  /** Makes tables and row. Where somebody else made the same in the meantime, that one counts. */
  async create(id: string, generation: number, request: ReplayRequest, parts: readonly ReplayPart[]): Promise<Replay> {
    const names = replayTables(id, generation)
    for (const table of TABLES) {
      await this.#store.command(`CREATE TABLE IF NOT EXISTS klartext.${names[table]} AS klartext.${table}`)
      await this.#removeTtl(names[table])
    }
    const now = this.#clock.nowUs()
    const row: ReplayRow = {
      id,
      generation,
      version: this.#version(),
      submitted: now,
      updated: now,
      state: 'open',
      request: JSON.stringify(request),
      parts: JSON.stringify(parts),
      error: '',
    }
    await this.#store.insert('replays', [row], `${id}/${generation}/created`)
    return this.get(id)
  }

  async #removeTtl(table: string): Promise<void> {
    try {
      await this.#store.command(`ALTER TABLE klartext.${table} REMOVE TTL`)
    } catch (error) {
      // BAD_ARGUMENTS: it has none any more; another one was faster.
      if ((error as { code?: string }).code !== 'CLICKHOUSE_36') throw error
    }
  }

  async setState(replay: Replay, state: ReplayState, error = ''): Promise<void> {
    const version = this.#version()
    const row: ReplayRow = {
      id: replay.id,
      generation: replay.generation,
      version,
      submitted: replay.submittedUs,
      updated: this.#clock.nowUs(),
      state,
      request: JSON.stringify(replay.request),
      parts: JSON.stringify(replay.parts),
      error,
    }
    await this.#store.insert('replays', [row], `${replay.id}/${replay.generation}/${version}/${state}`)
  }

  #version(): number {
    this.#lastVersion = Math.max(this.#lastVersion + 1, this.#clock.nowUs())
    return this.#lastVersion
  }

  async dropTables({ id, generation }: Replay): Promise<void> {
    const names = replayTables(id, generation)
    for (const table of TABLES) await this.#store.command(`DROP TABLE IF EXISTS klartext.${names[table]} SYNC`)
  }

  /** Without their checkpoints, by number. Parts that nobody has begun have no row. */
  async progress({ id, generation }: Pick<Replay, 'id' | 'generation'>): Promise<ReplayPartRow[]> {
    return this.#partRows(`id = '${id}' AND generation = ${generation}`, "'' AS checkpoint")
  }

  /** With its checkpoint; null where nobody has begun it. */
  async part(id: string, generation: number, part: number): Promise<ReplayPartRow | null> {
    const condition = `id = '${id}' AND generation = ${generation} AND part = ${part}`
    return (await this.#partRows(condition, 'checkpoint'))[0] ?? null
  }

  async #partRows(condition: string, checkpoint: string): Promise<ReplayPartRow[]> {
    const columns = columnList(REPLAY_PART_COLUMNS).replace('checkpoint', checkpoint)
    // FINAL would compare the checkpoints of all versions; the newest is found without reading them.
    const newest = `(id, generation, part, version) IN (
      SELECT id, generation, part, max(version) FROM klartext.replay_parts WHERE ${condition} GROUP BY id, generation, part)`
    const sql = `SELECT ${columns} FROM klartext.replay_parts WHERE ${condition} AND ${newest} ORDER BY part LIMIT 1 BY part`
    return (await this.#rows(sql)).map(toPartRow)
  }

  /** The row that says where a part begins: of two that write it the first one counts. */
  async beginPart(row: ReplayPartRow): Promise<ReplayPartRow> {
    const { id, generation, part } = row
    await this.#store.insert('replay_parts', [{ ...row, version: 1 }], `${id}/${generation}/${part}/begun`)
    return (await this.part(id, generation, part)) ?? row
  }

  /** How far it has come. The same position gives the same row, whoever writes it. */
  async savePart(row: ReplayPartRow): Promise<void> {
    const version = row.done === 1 ? DONE_VERSION : row.blocks + 2
    const token = `${row.id}/${row.generation}/${row.part}/${version}`
    await this.#store.insert('replay_parts', [{ ...row, version }], token)
  }

  async #rows(sql: string): Promise<Record<string, string>[]> {
    return jsonRows(await this.#store.query(sql, 'JSONStringsEachRow'))
  }
}

/** Times as numbers. */
function columnList(columns: Readonly<Record<string, string>>): string {
  return Object.entries(columns)
    .map(([name, kind]) => (kind === 'time' ? `toUnixTimestamp64Micro(${name}) AS ${name}` : name))
    .join(', ')
}

function toReplay(row: Record<keyof ReplayRow, string>): Replay {
  return {
    id: row.id,
    generation: Number(row.generation),
    submittedUs: Number(row.submitted),
    updatedUs: Number(row.updated),
    state: row.state as ReplayState,
    request: parseRequest(row.request),
    parts: JSON.parse(row.parts) as ReplayPart[],
    error: row.error,
  }
}

function toPartRow(row: Record<string, string>): ReplayPartRow {
  const typed: Record<string, unknown> = {}
  for (const [name, kind] of Object.entries(REPLAY_PART_COLUMNS)) {
    typed[name] = kind === 'text' ? row[name] : Number(row[name])
  }
  return typed as unknown as ReplayPartRow
}
