/**
 * The newest segments in a folder, as archives that follow each other: when a file is full the next one is begun, and the
 * oldest go so that the folder stays within its bound. A file is named by when it was begun: it holds what was captured
 * from then until the next one. They hold plaintext: only their owner may read them.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { KlartextError } from '../../core/errors.js'
import { markedProcess, processMark } from '../system/process_mark.js'
import { ArchiveWriter } from './writer.js'

export interface RecordingOptions {
  /** Of all files. */
  readonly bytesMax: number
  readonly nowMs: () => number
  /** Told when writing fails, once until it succeeds again. */
  readonly onError: (error: unknown) => void
}

/** A file is an eighth of the whole, so that the oldest goes in small parts. */
const FILES = 8
const FILE_BYTES_MIN = 1 << 20
const FILE_BYTES_MAX = 256 << 20
/** After a failure, as on a full disk, a new file is tried so much later. */
const RETRY_MS = 5_000
const HOLDER_FILE = 'recording'
const NAME = /^segments-(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})(\d{3})Z\.ktseg$/

export interface RecordedFile {
  readonly path: string
  readonly bytes: number
  /** When it was begun, ms since 1970. */
  readonly begunMs: number
}

/** Those of the folder in the order of their times; what has another name is not among them. */
export function recordedFiles(folder: string): RecordedFile[] {
  const files: RecordedFile[] = []
  for (const name of readdirSync(folder).sort()) {
    const match = NAME.exec(name)
    if (match === null) continue
    const [year, month, day, hour, minute, second, ms] = match.slice(1).map(Number)
    const path = join(folder, name)
    const stat = statSync(path, { throwIfNoEntry: false })
    // Removed meanwhile.
    if (stat === undefined) continue
    files.push({ path, bytes: stat.size, begunMs: Date.UTC(year, month - 1, day, hour, minute, second, ms) })
  }
  return files
}

/** Some process writes to it now. */
export function isBeingRecorded(folder: string): boolean {
  try {
    return markedProcess(readFileSync(join(folder, HOLDER_FILE), 'utf8')) !== null
  } catch {
    return false
  }
}

export class SegmentRecording {
  readonly #folder: string
  readonly #options: RecordingOptions
  readonly #fileBytes: number
  #file: ArchiveWriter | null = null
  #lastMs = 0
  #retryAtMs = 0
  #failing = false
  /** Batches that are in no file. */
  lostBatches = 0
  lostBytes = 0

  /** Makes the folder. Throws `UNWRITABLE`. */
  constructor(folder: string, options: RecordingOptions) {
    this.#folder = folder
    this.#options = options
    this.#fileBytes = Math.min(FILE_BYTES_MAX, Math.max(FILE_BYTES_MIN, Math.floor(options.bytesMax / FILES)))
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 })
      if (isBeingRecorded(folder)) throw new Error('another process records there')
      writeFileSync(join(folder, HOLDER_FILE), processMark(), { mode: 0o600 })
    } catch (error) {
      throw new KlartextError('UNWRITABLE', `${folder}: ${(error as Error).message}`)
    }
  }

  /** Never throws: what cannot be written is counted, and the live path goes on. */
  append(batch: Uint8Array): void {
    const nowMs = this.#options.nowMs()
    if (nowMs < this.#retryAtMs) return this.#lost(batch)
    try {
      if (this.#file !== null && this.#file.bytes + batch.length > this.#fileBytes) this.#end()
      this.#file ??= this.#begin(nowMs, batch.length)
      this.#file.append(batch)
      this.#failing = false
    } catch (error) {
      this.#lost(batch)
      this.#retryAtMs = nowMs + RETRY_MS
      if (!this.#failing) this.#options.onError(error)
      this.#failing = true
      // Its last block is cut: readers take what is before it.
      this.#end()
    }
  }

  #lost(batch: Uint8Array): void {
    this.lostBatches += 1
    this.lostBytes += batch.length
  }

  #begin(nowMs: number, nextBytes: number): ArchiveWriter {
    this.#makeRoom(nextBytes)
    // Names rise strictly, whatever the clock does.
    const newestMs = recordedFiles(this.#folder).at(-1)?.begunMs ?? 0
    this.#lastMs = Math.max(nowMs, this.#lastMs + 1, newestMs + 1)
    const name = new Date(this.#lastMs).toISOString().replace(/[-:.]/g, '')
    return new ArchiveWriter(join(this.#folder, `segments-${name}.ktseg`))
  }

  #makeRoom(nextBytes: number): void {
    const files = recordedFiles(this.#folder)
    const room = this.#options.bytesMax - Math.max(this.#fileBytes, nextBytes)
    let bytes = files.reduce((sum, file) => sum + file.bytes, 0)
    for (const file of files) {
      if (bytes <= room) return
      rmSync(file.path, { force: true })
      bytes -= file.bytes
    }
  }

  #end(): void {
    const file = this.#file
    this.#file = null
    try {
      file?.close()
    } catch (error) {
      this.#options.onError(error)
    }
  }

  close(): void {
    this.#end()
    rmSync(join(this.#folder, HOLDER_FILE), { force: true })
  }
}
