/** A small chaos run. `npm run test:chaos -- --seed S --kills K` makes others, larger ones and tells what happens. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { kafkaLibraries } from '../kafka/libraries.js'
import { runChaos } from './chaos.js'

const SEED = 5
const KILLS = 20
/** Said with a failure. */
const LINES_MAX = 400

const missing = await kafkaLibraries().then(
  () => false as const,
  (error: Error) => {
    if (process.env.CI === 'true') throw error
    return error.message
  },
)

test('workers, sinks, broker and store are killed, cut off and moved: nothing is lost, nothing is there twice', {
  skip: missing,
}, async (t) => {
  const lines: string[] = []
  const { differences, figures } = await runChaos({ seed: SEED, kills: KILLS, say: (line) => lines.push(line) })
  for (const line of figures) t.diagnostic(line)
  if (differences !== '') for (const line of lines.slice(-LINES_MAX)) console.log(line)
  assert.equal(differences, '')
})
