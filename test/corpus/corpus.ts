/** The captures with known answers that tests read in place; they are not part of the repository. */
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { REPO_ROOT } from '../../services/core/repo_root.js'

export const CORPUS = process.env.KLARTEXT_CORPUS ?? resolve(REPO_ROOT, '../shared/corpus')

/** The reason to skip, or false. */
export const NO_CORPUS: string | false = existsSync(join(CORPUS, 'INDEX.tsv')) ? false : `no captures at ${CORPUS}`

export interface CorpusFile {
  /** Path below the corpus. */
  readonly path: string
  readonly fullPath: string
  readonly group: string
  readonly notes: string
}

const CAPTURE = /\.(pcap|pcapng|trace|cap|pcap\.gz)$/

/** Captures of the named groups. */
export function corpusFiles(...groups: string[]): CorpusFile[] {
  return filesOf(groups, CAPTURE)
}

/** What is no capture: JSON of header blocks. */
export function corpusStories(group: string): CorpusFile[] {
  return filesOf([group], /\.json\.gz$/)
}

function filesOf(groups: readonly string[], names: RegExp): CorpusFile[] {
  if (NO_CORPUS) return []
  const files: CorpusFile[] = []
  for (const line of readFileSync(join(CORPUS, 'INDEX.tsv'), 'utf8').split('\n').slice(1)) {
    const [path, , , , group, , , , notes] = line.split('\t')
    if (!path || !groups.includes(group) || !names.test(path)) continue
    files.push({ path, fullPath: join(CORPUS, path), group, notes: notes ?? '' })
  }
  return files
}

/** All groups of the index. */
export function corpusGroups(): string[] {
  if (NO_CORPUS) return []
  const lines = readFileSync(join(CORPUS, 'INDEX.tsv'), 'utf8').split('\n').slice(1)
  return [...new Set(lines.map((line) => line.split('\t')[4] ?? '').filter(Boolean))]
}
