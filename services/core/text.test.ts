import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Random } from './random.js'
import { latin1, utf8, word } from './text.js'

test('bytes become the texts that their encodings give, whatever came before', () => {
  const random = new Random(31)
  const all = [0x41, 0x42, 0x43, 0x20, 0x00, 0x7f, 0x80, 0xc3, 0xa9, 0xff]
  for (let i = 0; i < 20_000; i++) {
    const bytes = Buffer.from(Array.from({ length: random.below(30) }, () => random.pick(all)))
    const from = random.below(bytes.length + 1)
    const to = from + random.below(bytes.length - from + 1)
    assert.equal(word(bytes, from, to), bytes.toString('utf8', from, to))
    assert.equal(utf8(bytes, from, to), bytes.toString('utf8', from, to))
    assert.equal(latin1(bytes, from, to), bytes.toString('latin1', from, to))
  }
})
