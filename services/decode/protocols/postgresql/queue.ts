/** Operations that wait for their answers, in the order in which they were sent; bounded in number and in characters. */
import { COPY, endsUnit, GSSENC, LOST, NO_VALUES, Op, SSL, STARTUP } from './op.js'

/**
 * Operations without an answer: a one-sided capture must not grow. Below 1 MiB with some 100 bytes each; a pipelining
 * client has a few hundred under way.
 */
const OPS_MAX = 4096
/** Of their texts and values; what finds no room is marked as unknown. With names so many again fit. */
const CHARS_MAX = 128 * 1024
/** Answered ones are cut off the list when there are so many of them, and as many as are left. */
const ANSWERED_MAX = 512

/** The units sent up to some time. */
export interface Units {
  count: number
  /** Where the last of them begins. */
  from: number
  /** Requests between them were lost. */
  lost: boolean
}

export class Queue {
  #ops: Op[] = []
  #head = 0
  #chars = 0
  #nameChars = 0

  get length(): number {
    return this.#ops.length - this.#head
  }

  get full(): boolean {
    return this.length >= OPS_MAX || this.#chars + this.#nameChars >= 2 * CHARS_MAX
  }

  get first(): Op | null {
    return this.#head < this.#ops.length ? this.#ops[this.#head] : null
  }

  get last(): Op | null {
    return this.#head < this.#ops.length ? this.#ops[this.#ops.length - 1] : null
  }

  /** Counted from the first that waits. */
  at(index: number): Op | null {
    return this.#ops[this.#head + index] ?? null
  }

  all(): Op[] {
    return this.#ops.slice(this.#head)
  }

  /** For a checkpoint: of each only what differs from a new one. */
  saved(): Partial<Op>[] {
    return this.#ops.slice(this.#head).map((op) => {
      const fields: Record<string, unknown> = { kind: op.kind, startUs: op.startUs }
      for (const name of FIELDS) if (op[name] !== NEW[name]) fields[name] = op[name]
      return fields as Partial<Op>
    })
  }

  push(op: Op): void {
    const chars = charsOf(op)
    if (this.#chars + chars > CHARS_MAX) {
      op.text = ''
      op.values = NO_VALUES
      op.unknown = true
      op.truncated = true
    } else this.#chars += chars
    this.#nameChars += nameCharsOf(op)
    this.#ops.push(op)
  }

  /** Takes the first out and answers it. */
  shift(): Op {
    const op = this.#ops[this.#head]
    this.#chars -= charsOf(op)
    this.#nameChars -= nameCharsOf(op)
    this.#head += 1
    if (this.#head === this.#ops.length) {
      this.#ops = []
      this.#head = 0
    } else if (this.#head >= ANSWERED_MAX && this.#head * 2 > this.#ops.length) {
      this.#ops.splice(0, this.#head)
      this.#head = 0
    }
    return op
  }

  remove(index: number): Op {
    const [op] = this.#ops.splice(this.#head + index, 1)
    this.#chars -= charsOf(op)
    this.#nameChars -= nameCharsOf(op)
    return op
  }

  /** Units that began up to then. A client waits for what comes before the login; those are over when another begins. */
  until(timeUs: number): Units {
    const units: Units = { count: 0, from: 0, lost: false }
    let inside = false
    let login = false
    for (let i = this.#head; i < this.#ops.length; i++) {
      const { kind, startUs } = this.#ops[i]
      if (kind === LOST) {
        units.lost = true
        inside = false
        continue
      }
      if (!inside) {
        if (kind === COPY) continue
        if (startUs > timeUs) break
        if (login) units.count = 0
        units.count += 1
        units.from = i - this.#head
        login = kind === STARTUP || kind === SSL || kind === GSSENC
      }
      inside = !endsUnit(kind)
    }
    return units
  }

  restore(ops: readonly Partial<Op>[]): void {
    this.#ops = ops.map((each) => Object.assign(new Op(each.kind ?? 0, each.startUs ?? 0), each))
    this.#head = 0
    this.#chars = this.#ops.reduce((sum, op) => sum + charsOf(op), 0)
    this.#nameChars = this.#ops.reduce((sum, op) => sum + nameCharsOf(op), 0)
  }
}

function charsOf(op: Op): number {
  let chars = op.text.length
  const { values } = op
  for (let i = 0; i < values.length; i++) chars += values[i]?.length ?? 0
  return chars
}

const nameCharsOf = ({ name, portal, types, formats }: Op): number =>
  name.length + portal.length + types.length + formats.length

const NEW = new Op(0, 0)
const FIELDS = (Object.keys(NEW) as (keyof Op)[]).filter((name) => name !== 'kind' && name !== 'startUs')
