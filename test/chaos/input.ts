/** The log of klartext.segments against what was published: every byte of every connection once, in order. */
import { KlartextError } from '../../services/core/errors.js'
import type { Bus, BusRecord } from '../../services/core/ports/bus.js'
import { TOPICS } from '../../services/core/topics.js'
import { decodeSegmentBatch } from '../../services/core/wire/segment_batch.js'
import type { Generator } from './generator.js'

/** '' where it is so. */
export async function checkInput(bus: Bus, log: readonly BusRecord[][], generator: Generator): Promise<string> {
  const found: string[] = []
  const positions = new Map<bigint, [number, number]>()
  const poison: string[] = []
  let segments = 0
  for (const { topic, partition, offset, value } of log.flat()) {
    try {
      for (const { connection, direction, position, length } of decodeSegmentBatch(value).segments) {
        segments += 1
        const of = positions.get(connection.id) ?? [0, 0]
        positions.set(connection.id, of)
        if (position !== of[direction]) {
          found.push(
            `${topic}/${partition}/${offset}: ${connection.id} goes on at ${position}, not at ${of[direction]}`,
          )
        }
        of[direction] = position + length
      }
    } catch (error) {
      if (!(error instanceof KlartextError)) throw error
      poison.push(`${topic}/${partition}/${offset}`)
    }
  }
  if (segments !== generator.segments)
    found.push(`${generator.segments} segments were sent, ${segments} are in the log`)
  if (poison.length !== generator.poisoned) found.push(`${generator.poisoned} poisoned, ${poison.length} in the log`)
  if (generator.shed > 0) found.push(`${generator.shed} segments were left out`)
  const letters: string[] = []
  await bus.readAll(TOPICS.deadLetters, 0, (records) => {
    for (const { headers = {} } of records) letters.push(`${headers.topic}/${headers.partition}/${headers.offset}`)
  })
  if (letters.sort().join() !== poison.sort().join()) {
    found.push(`${poison.length} messages that cannot be read, ${letters.length} dead letters: ${letters.join(', ')}`)
  }
  return found.slice(0, 20).join('\n')
}
