/** Writing much to standard output: in large pieces, and no faster than the reader takes them. */
import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { JsonBytes } from '../core/wire/json_bytes.js'

const PIECE_BYTES = 1 << 18
/** Pieces kept for the next lines: about what one block of a capture gives. */
const FREE_MAX = 16

/** Lines are written straight into the piece that is sent: no list, no joining, no copy. */
export class LineWriter {
  readonly #out: Writable
  readonly #sendBytes: number
  readonly #free: Buffer[] = []
  /** The line being written; `endLine` ends it. */
  readonly json = new JsonBytes(PIECE_BYTES)

  /** `sendBytes` 1 sends each line at once. */
  constructor(out: Writable, sendBytes = PIECE_BYTES / 2) {
    this.#out = out
    this.#sendBytes = sendBytes
  }

  line(text: string): void {
    this.json.plain(text)
    this.endLine()
  }

  endLine(): void {
    this.json.byte(10)
    if (this.json.size >= this.#sendBytes) this.send()
  }

  /** To be awaited between batches: memory stays bounded whatever the reader's speed. */
  async ready(): Promise<void> {
    if (this.#out.writableNeedDrain) await once(this.#out, 'drain')
  }

  async end(): Promise<void> {
    this.send()
    await new Promise<void>((resolve) => {
      this.#out.write('', () => resolve())
    })
  }

  /**
   * Sends what is there. Files and pipes have mostly taken all of it when `write` comes back, and the same memory, which is
   * in the processor's cache, serves again. Else the stream holds the piece until it calls back.
   */
  send(): void {
    const { json } = this
    if (json.size === 0) return
    const piece = json.bytes
    let taken = false
    this.#out.write(piece.subarray(0, json.size), () => {
      if (!taken && piece.length === PIECE_BYTES && this.#free.length < FREE_MAX) this.#free.push(piece)
    })
    taken = this.#out.writableLength === 0
    if (taken) json.size = 0
    else json.use(this.#free.pop() ?? Buffer.allocUnsafeSlow(PIECE_BYTES))
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

/** What comes from traffic and processes must not steer the terminal. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, '·')
}

/** Rows as an aligned table; numbers to the right. */
export function table(headings: readonly string[], cells: readonly (readonly (string | number)[])[]): string {
  const rows = cells.map((row) => row.map((cell) => (typeof cell === 'number' ? cell : printable(cell))))
  const widths = headings.map((heading, i) => Math.max(heading.length, ...rows.map((row) => String(row[i]).length)))
  const line = (cells: readonly (string | number)[]) =>
    cells
      .map((cell, i) => (typeof cell === 'number' ? String(cell).padStart(widths[i]) : String(cell).padEnd(widths[i])))
      .join('  ')
      .trimEnd()
  return [line(headings), ...rows.map(line)].join('\n')
}
