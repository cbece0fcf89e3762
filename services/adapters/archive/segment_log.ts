/** Archives as a log to replay from: one file, or all of a folder one behind the other. */
import { closeSync, createReadStream, openSync, readdirSync, readSync, realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { KlartextError } from '../../core/errors.js'
import type { LogPiece, SegmentLog } from '../../core/ports/segment_log.js'
import type { ReplayPart } from '../../core/replay.js'
import { ContainerParser } from './container.js'
import { isArchiveMagic } from './format.js'
import { isBeingRecorded, recordedFiles } from './recording.js'

const READ_BYTES = 1 << 20
const PIECES_BYTES = 2 << 20
/** Segments reach a recording within so much of their capture. */
const SLACK_US = 10e6

type ArchiveFile = NonNullable<ReplayPart['files']>[number]

export class ArchiveSegmentLog implements SegmentLog {
  readonly isBus = false
  /** Absolute, without links: the same folder has one name. */
  readonly path: string
  readonly #isFolder: boolean

  /** Throws `UNREADABLE`. */
  constructor(path: string) {
    try {
      this.path = realpathSync(path)
      this.#isFolder = statSync(this.path).isDirectory()
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      throw new KlartextError('UNREADABLE', `${path}: ${code === 'ENOENT' ? 'no such file or folder' : message}`)
    }
  }

  async parts(fromUs: number, untilUs: number): Promise<ReplayPart[]> {
    const isLive = this.#isFolder && isBeingRecorded(this.path)
    const recorded = this.#isFolder ? recordedFiles(this.path) : []
    const isRecording = recorded.length > 0
    const wanted = isRecording ? within(recorded, fromUs, untilUs) : this.#files()
    const files: ArchiveFile[] = wanted.filter(({ bytes }) => bytes > 0).map(({ path, bytes }) => ({ path, bytes }))
    for (const file of files) checkMagic(file)
    const stop = files.reduce((sum, { bytes }) => sum + bytes, 0)
    if (stop === 0) return []
    const begunUs = isRecording ? recorded[0].begunMs * 1000 : 0
    const lostBeforeUs = fromUs > 0 && begunUs > fromUs ? begunUs : 0
    return [{ part: 0, start: 0, stop, endsForGood: !isLive, files, lostBeforeUs }]
  }

  #files(): ArchiveFile[] {
    if (!this.#isFolder) return [{ path: this.path, bytes: statSync(this.path).size }]
    return readdirSync(this.path)
      .filter((name) => name.endsWith('.ktseg'))
      .sort()
      .map((name) => ({ path: join(this.path, name), bytes: statSync(join(this.path, name)).size }))
  }

  async kept(part: ReplayPart): Promise<ReplayPart> {
    return part
  }

  async *read({ files = [] }: ReplayPart, from: number): AsyncGenerator<readonly LogPiece[]> {
    let base = 0
    for (const file of files) {
      if (base + file.bytes > from) yield* readFile(file, base, from)
      base += file.bytes
    }
  }

  async extent(): Promise<string> {
    const [first] = this.#isFolder ? recordedFiles(this.path) : []
    if (first !== undefined)
      return `${this.path} holds what was captured since ${new Date(first.begunMs).toISOString()}`
    return this.#files().length === 0 ? '' : `${this.path} holds other times`
  }
}

/** Each holds what was captured from its beginning until that of the next one. */
function within(files: readonly { path: string; bytes: number; begunMs: number }[], fromUs: number, untilUs: number) {
  return files.filter(({ begunMs }, i) => {
    const endUs = i + 1 < files.length ? files[i + 1].begunMs * 1000 : Number.MAX_SAFE_INTEGER
    return endUs + SLACK_US > fromUs && begunMs * 1000 - SLACK_US < untilUs
  })
}

function checkMagic({ path }: ArchiveFile): void {
  const head = Buffer.alloc(4)
  const file = openSync(path, 'r')
  const size = readSync(file, head)
  closeSync(file)
  if (isArchiveMagic(head.subarray(0, size))) return
  throw new KlartextError(
    'NOT_A_CAPTURE',
    `${path}: no segment archive; klartext convert makes one of a pcap or pcapng`,
  )
}

/** Blocks from `from` on, both counted from the beginning of the first file. What cannot be read is one piece of no batch. */
async function* readFile(
  { path, bytes: size }: ArchiveFile,
  base: number,
  from: number,
): AsyncGenerator<readonly LogPiece[]> {
  const parser = new ContainerParser(path)
  const stream = createReadStream(path, { highWaterMark: READ_BYTES, end: size - 1 })
  let pieces: LogPiece[] = []
  let piecesBytes = 0
  let read = 0
  let behind = Math.max(base, from)
  try {
    for await (const data of stream) {
      read += (data as Buffer).length
      parser.feed(data as Buffer)
      for (let block = parser.next(); block !== null; block = parser.next()) {
        behind = base + block.next
        if (base + block.offset < from) continue
        const { records, bytes } = block
        pieces.push({ position: base + block.offset, next: behind, batches: records, bytes, sentUs: 0 })
        piecesBytes += block.bytes.length
        if (piecesBytes < PIECES_BYTES) continue
        yield pieces
        pieces = []
        piecesBytes = 0
      }
    }
    if (read < size) throw new KlartextError('EXPIRED', `${path}: is shorter than it was`)
    parser.end()
  } catch (error) {
    if (pieces.length > 0) yield pieces
    pieces = []
    const { code } = error as { code?: string }
    if (code === 'ENOENT') throw new KlartextError('EXPIRED', `${path}: is not there any more`)
    // A file that grows is cut where it was frozen.
    const isGrowing = code === 'CAPTURE_TRUNCATED' && (statSync(path, { throwIfNoEntry: false })?.size ?? 0) > size
    if (code !== 'CAPTURE_TRUNCATED' && code !== 'CAPTURE_BROKEN') throw unreadable(path, error)
    if (!isGrowing) pieces = [{ position: behind, next: base + size, batches: 1, bytes: Buffer.alloc(0), sentUs: 0 }]
  } finally {
    stream.destroy()
  }
  if (pieces.length > 0) yield pieces
}

function unreadable(path: string, error: unknown): unknown {
  if ((error as NodeJS.ErrnoException).syscall === undefined) return error
  return new KlartextError('UNREADABLE', `${path}: ${(error as Error).message}`, { cause: error })
}
