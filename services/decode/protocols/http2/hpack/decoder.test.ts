/** Examples of RFC 7541 appendix C, and a decoder that joins late. The stories of http2jp are in test/corpus/hpack.test.ts. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HpackDecoder } from './decoder.js'
import type { Entry } from './entry.js'
import { decodeHuffman, huffmanBytes } from './huffman.js'

function fields(decoder: HpackDecoder, hex: string): string[] {
  const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex')
  const said: string[] = []
  const field = ({ name, value }: Entry) => said.push(`${name ?? '?'}=${value ?? '?'}`)
  assert.ok(decoder.decode(bytes, 0, bytes.length, { field }))
  return said
}

const FIRST = '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff'
const SECOND = '8286 84be 5886 a8eb 1064 9cbf'
const THIRD = '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf'

test('three requests of RFC 7541 C.4, Huffman-coded', () => {
  const decoder = new HpackDecoder()
  assert.deepEqual(fields(decoder, FIRST), [':method=GET', ':scheme=http', ':path=/', ':authority=www.example.com'])
  assert.deepEqual(fields(decoder, SECOND).slice(3), [':authority=www.example.com', 'cache-control=no-cache'])
  assert.deepEqual(fields(decoder, THIRD), [
    ':method=GET',
    ':scheme=https',
    ':path=/index.html',
    ':authority=www.example.com',
    'custom-key=custom-value',
  ])
})

test('joined late: what was added since is exact, what is older is unknown', () => {
  const decoder = new HpackDecoder()
  decoder.forget()
  assert.deepEqual(fields(decoder, SECOND), [':method=GET', ':scheme=http', ':path=/', '?=?', 'cache-control=no-cache'])
  assert.deepEqual(fields(decoder, THIRD), [
    ':method=GET',
    ':scheme=https',
    ':path=/index.html',
    '?=?',
    'custom-key=custom-value',
  ])
  assert.deepEqual(fields(decoder, 'be bf'), ['custom-key=custom-value', 'cache-control=no-cache'])
})

test('every byte both ways through the code', () => {
  // `Huffman` of RFC examples, and all printable text by way of the decoder's own strictness.
  const text = (hex: string) => {
    const size = decodeHuffman(Buffer.from(hex, 'hex'), 0, hex.length / 2)
    return huffmanBytes().toString('latin1', 0, size)
  }
  assert.equal(text('f1e3c2e5f23a6ba0ab90f4ff'), 'www.example.com')
  assert.equal(text('aec3771a4b'), 'private')
  assert.equal(text(''), '')
})

test('bytes that are no header block are refused', () => {
  const sink = { field: () => {} }
  for (const hex of ['80', 'be', '40', '4005', '41ff', '7fffffffffffff', '0085ffffffffff', '4082ffff01']) {
    const bytes = Buffer.from(hex, 'hex')
    assert.equal(new HpackDecoder().decode(bytes, 0, bytes.length, sink), false, hex)
  }
})
