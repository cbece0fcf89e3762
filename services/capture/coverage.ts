/** What was hooked, seen and lost, as rows: counters become differences, libraries their present state. */
import type { CaptureStats, Count, Library } from '../../native/index.js'
import type { CoverageKind, CoverageRow } from '../core/rows.js'

/** Reasons under which bytes were left out on purpose: they are no loss. */
export const NO_LOSS: ReadonlySet<string> = new Set(['muted'])

export class CoverageReport {
  readonly #cluster: string
  readonly #node: string
  readonly #last = new Map<string, Count>()

  constructor(cluster: string, node: string) {
    this.#cluster = cluster
    this.#node = node
  }

  rows(stats: CaptureStats, libraries: readonly Library[], nowUs: number): CoverageRow[] {
    const rows: CoverageRow[] = []
    for (const [source, count] of Object.entries(stats.seen)) {
      const grown = this.#grown(`seen ${source}`, count)
      if (grown.count > 0) rows.push(this.#row(nowUs, 'bytes', source, { ...grown }))
    }
    for (const [reason, count] of Object.entries(stats.lost)) {
      const grown = this.#grown(`lost ${reason}`, count)
      if (grown.count === 0) continue
      const kind: CoverageKind = NO_LOSS.has(reason) ? 'bytes' : 'loss'
      rows.push(this.#row(nowUs, kind, 'capture', { ...grown, reason }))
    }
    for (const library of libraries) {
      const state = library.hooked ? 'hooked' : 'not_hooked'
      const detail = [library.kind, library.version, library.detail].filter((part) => part !== '').join(' ')
      const shared = { state, reason: library.reason, detail }
      rows.push(this.#row(nowUs, 'library', library.path, { ...shared, count: library.processes.length }))
      for (const { pid, comm, containerId } of library.processes) {
        if (library.kind === 'libcrypto') continue
        const process = { ...shared, state: library.hooked ? 'covered' : 'not_covered', pid, container: containerId }
        rows.push(this.#row(nowUs, 'process', comm, { ...process, detail: library.path }))
      }
    }
    return rows
  }

  #grown(name: string, now: Count): Count {
    const before = this.#last.get(name) ?? { count: 0, bytes: 0 }
    this.#last.set(name, now)
    return { count: now.count - before.count, bytes: now.bytes - before.bytes }
  }

  #row(ts: number, kind: CoverageKind, subject: string, more: Partial<CoverageRow>): CoverageRow {
    const cluster = this.#cluster
    const node = this.#node
    return {
      ts,
      cluster,
      node,
      kind,
      subject,
      pid: 0,
      container: '',
      state: '',
      reason: '',
      detail: '',
      bytes: 0,
      count: 0,
      ...more,
    }
  }
}
