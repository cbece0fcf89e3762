import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Replay } from '../../replay/registry.js'
import { replayRequest } from '../../replay/request.js'
import { notes } from './report.js'

const US = 1_790_000_000_000_000
const of = (asked: Partial<Replay['request']>) =>
  ({
    parts: [],
    updatedUs: 0,
    request: { ...replayRequest({ fromUs: US, toUs: US + 60e6, trailUs: 30e6 }), ...asked },
  }) as unknown as Replay

test('a window from Kafka says until when it looked; an archive, and all there is, end with what is there', () => {
  const lines = notes(of({}), [])
  assert.equal(lines.length, 1)
  assert.match(lines[0], /sent only after 2026-09-21T14:14:50Z, .*not looked for.*longer --trail/)
  assert.deepEqual(notes(of({ archive: '/kept' }), []), [])
  assert.deepEqual(notes(of({ toUs: Number.MAX_SAFE_INTEGER }), []), [])
})
