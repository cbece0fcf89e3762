/** Recognition over all captures, ports hidden. The tables are in services/decode/protocols/README.md. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NO_CORPUS } from './corpus.js'
import { confusions, totals } from './detection.js'

test('protocols are recognised, and nothing is taken for what it is not', { skip: NO_CORPUS }, async (t) => {
  for (const confusion of await confusions()) {
    const { streams, ours, right, wrong } = totals(confusion)
    t.diagnostic(
      `from the ${confusion.from}: ${streams} streams, ${right} of ${ours} of ours recognised, ${wrong} wrong claims`,
    )
    for (const line of confusion.wrong.slice(0, 10)) t.diagnostic(line)
    assert.ok(streams > 500)
    assert.ok(right >= ours * (confusion.from === 'beginning' ? 0.95 : 0.8))
    assert.equal(wrong, 0)
  }
})
