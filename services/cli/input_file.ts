/** A file that holds traffic: which kind it is, and its source of segments. */
import { closeSync, openSync, readSync, statSync } from 'node:fs'
import { isatty } from 'node:tty'
import { isArchiveMagic } from '../adapters/archive/format.js'
import { ArchiveSource } from '../adapters/archive/reader.js'
import { isCaptureMagic } from '../adapters/pcap/capture_file.js'
import { PcapSource } from '../adapters/pcap/source.js'
import { KlartextError } from '../core/errors.js'
import type { SegmentSource } from '../core/ports/source.js'

export type InputKind = 'capture' | 'archive'

export interface InputFile {
  readonly kind: InputKind
  readonly sizeBytes: number
  /** Its bytes come when they come: nobody should wait for more of them. */
  readonly isPipe: boolean
  open(options: InputOptions): SegmentSource
}

export interface InputOptions {
  readonly onProgress: (bytesRead: number) => void
  /** See PcapSourceOptions. */
  readonly reuseMemory?: boolean
}

const GZIP_MAGIC = [0x1f, 0x8b]

/** Whoever writes to the second would destroy the first. */
export function isSameFile(one: string, other: string): boolean {
  const [a, b] = [one, other].map((path) => statSync(path, { throwIfNoEntry: false }))
  return a?.isFile() === true && a.dev === b?.dev && a.ino === b.ino
}

/** Throws one line that names the file where it is none of ours. `-` is standard input. */
export function inputFile(path: string): InputFile {
  if (path === '-') {
    if (isatty(0)) throw new KlartextError('UNREADABLE', 'standard input: is a terminal, not a capture')
    // Not by /dev/stdin: it cannot be opened where standard input is a socket.
    return { kind: 'capture', sizeBytes: 0, isPipe: true, open: (options) => new PcapSource(process.stdin, options) }
  }
  const head = Buffer.alloc(16)
  let sizeBytes = 0
  let size = 0
  try {
    const stat = statSync(path)
    if (stat.isDirectory()) throw new KlartextError('NOT_A_FILE', `${path}: is a directory`)
    sizeBytes = stat.size
    // A pipe cannot be read twice: what it holds shows itself while it is read.
    if (!stat.isFile())
      return { kind: 'capture', sizeBytes, isPipe: true, open: (options) => new PcapSource(path, options) }
    const file = openSync(path, 'r')
    size = readSync(file, head)
    closeSync(file)
  } catch (error) {
    if (error instanceof KlartextError) throw error
    const { code } = error as NodeJS.ErrnoException
    const why =
      code === 'ENOENT' ? 'no such file' : code === 'EACCES' ? 'no permission to read it' : (error as Error).message
    throw new KlartextError('UNREADABLE', `${path}: ${why}`)
  }
  if (size === 0) throw new KlartextError('EMPTY_FILE', `${path}: the file is empty`)
  const bytes = head.subarray(0, size)
  if (isArchiveMagic(bytes))
    return {
      kind: 'archive',
      sizeBytes,
      isPipe: false,
      open: ({ onProgress }) => new ArchiveSource(path, { onProgress }),
    }
  if (isCaptureMagic(bytes) || (bytes[0] === GZIP_MAGIC[0] && bytes[1] === GZIP_MAGIC[1])) {
    return { kind: 'capture', sizeBytes, isPipe: false, open: (options) => new PcapSource(path, options) }
  }
  throw new KlartextError('NOT_A_CAPTURE', `${path}: neither pcap, pcapng nor a segment archive`)
}
