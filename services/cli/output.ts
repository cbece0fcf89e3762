/** Writing much to standard output: in large pieces, and no faster than the reader takes them. */
import { once } from 'node:events'
import type { Writable } from 'node:stream'

const PIECE_BYTES = 1 << 18
/** UTF-8 takes at most 3 bytes for one UTF-16 unit. */
const BYTES_PER_CHAR = 3

/** Lines are encoded straight into the piece that is written: no list, no joining. */
export class LineWriter {
  readonly #out: Writable
  readonly #sendBytes: number
  #piece = Buffer.allocUnsafe(PIECE_BYTES)
  #size = 0

  /** `sendBytes` 1 sends each line at once. */
  constructor(out: Writable, sendBytes = PIECE_BYTES / 2) {
    this.#out = out
    this.#sendBytes = sendBytes
  }

  line(text: string): void {
    const room = text.length * BYTES_PER_CHAR + 1
    if (this.#size + room > this.#piece.length) {
      this.#send()
      if (room > this.#piece.length) this.#piece = Buffer.allocUnsafe(room)
    }
    this.#size += this.#piece.write(text, this.#size, 'utf8')
    this.#piece[this.#size++] = 10
    if (this.#size >= this.#sendBytes) this.#send()
  }

  /** A line that is bytes already; they are copied. */
  bytes(line: Buffer, size: number): void {
    if (this.#size + size + 1 > this.#piece.length) {
      this.#send()
      if (size + 1 > this.#piece.length) this.#piece = Buffer.allocUnsafe(size + 1)
    }
    line.copy(this.#piece, this.#size, 0, size)
    this.#size += size
    this.#piece[this.#size++] = 10
    if (this.#size >= this.#sendBytes) this.#send()
  }

  /** To be awaited between batches: memory stays bounded whatever the reader's speed. */
  async ready(): Promise<void> {
    if (this.#out.writableNeedDrain) await once(this.#out, 'drain')
  }

  async end(): Promise<void> {
    this.#send()
    await new Promise<void>((resolve) => {
      this.#out.write('', () => resolve())
    })
  }

  #send(): void {
    if (this.#size === 0) return
    this.#out.write(this.#piece.subarray(0, this.#size))
    // The stream may still hold the piece.
    this.#piece = Buffer.allocUnsafe(PIECE_BYTES)
    this.#size = 0
  }
}

/** A bar on standard error where that is a terminal; nothing where it is a file or pipe. */
export class Progress {
  readonly #label: string
  readonly #totalBytes: number
  readonly #shown = process.stderr.isTTY === true
  #lastMs = 0

  constructor(label: string, totalBytes: number) {
    this.#label = label
    this.#totalBytes = totalBytes
  }

  at(bytes: number): void {
    const nowMs = Date.now()
    if (!this.#shown || nowMs - this.#lastMs < 100) return
    this.#lastMs = nowMs
    const share = this.#totalBytes === 0 ? 1 : Math.min(1, bytes / this.#totalBytes)
    const filled = Math.round(share * 30)
    const bar = '█'.repeat(filled) + '░'.repeat(30 - filled)
    process.stderr.write(`\r\u001b[K${this.#label} ${bar} ${Math.round(share * 100)} %`)
  }

  clear(): void {
    if (this.#shown) process.stderr.write('\r\u001b[K')
  }
}

/** Rows as an aligned table; numbers to the right. */
export function table(headings: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const widths = headings.map((heading, i) => Math.max(heading.length, ...rows.map((row) => String(row[i]).length)))
  const line = (cells: readonly (string | number)[]) =>
    cells
      .map((cell, i) => (typeof cell === 'number' ? String(cell).padStart(widths[i]) : String(cell).padEnd(widths[i])))
      .join('  ')
      .trimEnd()
  return [line(headings), ...rows.map(line)].join('\n')
}
