/** What klartext.state holds of one input partition: the state of each open connection, and the position they belong to. */
import { NewerSchemaError } from '../core/errors.js'
import type { Bus, BusMessage, BusRecord } from '../core/ports/bus.js'
import { StateReader, StateWriter } from '../core/state.js'
import { TOPICS } from '../core/topics.js'
import { checkVersion } from './checkpoint.js'

/** Key of the state that belongs to the partition as a whole: its position and clock. */
const CLOCK_KEY = Buffer.from('clock')
const CLOCK_VERSION = 1
/** As many as `saveClock` of the pipeline gives. */
const CLOCK_VALUES = 4

/** `next`: of klartext.segments, the next offset to decode. */
export function clockMessage(next: bigint, values: readonly number[]): BusMessage {
  const clock = new StateWriter()
  clock.u8(CLOCK_VERSION)
  clock.bigint(next)
  for (const value of values) clock.number(value)
  return { key: CLOCK_KEY, value: clock.finish() }
}

export interface PartitionState {
  readonly clock: readonly number[]
  readonly entries: (readonly [key: Buffer, value: Buffer])[]
  readonly foreign: Buffer[]
}

/**
 * The newest value of each key. State and offset were committed together, so that they agree; where an operator has moved
 * the offset they do not, and the state is of no use: connections go on as if joined mid-way. Throws NewerSchemaError.
 */
export async function readState(bus: Bus, partition: number, next: bigint): Promise<PartitionState> {
  const newest = new Map<string, BusRecord>()
  await bus.readAll(TOPICS.state, partition, (records) => {
    for (const record of records) {
      if (record.key === null) continue
      const key = record.key.toString('latin1')
      if (record.value.length === 0) newest.delete(key)
      else newest.set(key, record)
    }
  })
  const clockKey = CLOCK_KEY.toString('latin1')
  const clock = newest.get(clockKey)
  newest.delete(clockKey)
  const state = clock === undefined ? null : new StateReader(clock.value)
  const version = state?.u8() ?? 0
  if (version > CLOCK_VERSION) throw new NewerSchemaError('klartext.state has version', version, CLOCK_VERSION)
  for (const { value } of newest.values()) checkVersion(value)
  const fits = state !== null && version === CLOCK_VERSION && state.bigint() === next
  if (!fits) {
    return { clock: [], entries: [], foreign: [...newest.values()].map(({ key }) => key as Buffer) }
  }
  const clockValues = Array.from({ length: CLOCK_VALUES }, () => state.number())
  return {
    clock: clockValues,
    entries: [...newest.values()].map(({ key, value }) => [key as Buffer, value] as const),
    foreign: [],
  }
}
