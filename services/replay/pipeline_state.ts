/** The state of a pipeline as one text: the newest value of each key of its checkpoints, with its clock. */
import { StateReader, StateWriter } from '../core/state.js'
import type { CheckpointEntry } from '../decode/checkpoint_keys.js'

const VERSION = 1
/** Beyond it none is written: the one before stays, and a kill costs more to make good. As base64 it must fit a string. */
const BYTES_MAX = 128 << 20

export class PipelineState {
  readonly #entries = new Map<string, Buffer>()
  #bytes = 0

  take(entries: readonly CheckpointEntry[]): void {
    for (const { key, value } of entries) {
      const name = key.toString('latin1')
      const before = this.#entries.get(name)
      if (before !== undefined) this.#bytes -= before.length
      if (value === null) this.#entries.delete(name)
      else {
        this.#entries.set(name, value)
        this.#bytes += value.length
      }
    }
  }

  /** null where it is too large. */
  blob(clock: readonly number[]): string | null {
    if (this.#bytes > BYTES_MAX) return null
    const out = new StateWriter()
    out.u8(VERSION)
    out.number(clock.length)
    for (const value of clock) out.number(value)
    out.number(this.#entries.size)
    for (const [name, value] of this.#entries) {
      out.bytes(Buffer.from(name, 'latin1'))
      out.bytes(value)
    }
    return out.finish().toString('base64')
  }

  /** null where the text is none of this version. */
  static read(text: string): { clock: number[]; entries: [key: Buffer, value: Buffer][]; state: PipelineState } | null {
    const input = new StateReader(Buffer.from(text, 'base64'))
    if (input.u8() !== VERSION) return null
    const clock: number[] = []
    for (let count = input.number(); count > 0 && !input.failed; count--) clock.push(input.number())
    const entries: [Buffer, Buffer][] = []
    for (let count = input.number(); count > 0 && !input.failed; count--) entries.push([input.bytes(), input.bytes()])
    if (!input.finished) return null
    const state = new PipelineState()
    state.take(entries.map(([key, value]) => ({ key, value })))
    return { clock, entries, state }
  }
}
