/** Examples of RFC 7541 appendix C, and a decoder that joins late. The stories of http2jp are in test/corpus/hpack.test.ts. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { indexed, integer, literal } from '../../../../../test/fakes/http2_frames.js'
import { StateReader, StateWriter } from '../../../../core/state.js'
import { TextReader, TextWriter } from '../texts.js'
import { HpackDecoder, TEXT_BYTES_MAX } from './decoder.js'
import type { Entry } from './entry.js'
import { decodeHuffman, huffmanBytes } from './huffman.js'

function fields(decoder: HpackDecoder, hex: string): string[] {
  const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex')
  const said: string[] = []
  const field = ({ name, value }: Entry) => said.push(`${name ?? '?'}=${value ?? '?'}`)
  assert.ok(decoder.decode(bytes, 0, bytes.length, { field }))
  return said
}

function decodes(decoder: HpackDecoder, hex: string): boolean {
  const bytes = Buffer.from(hex, 'hex')
  return decoder.decode(bytes, 0, bytes.length, { field: () => {} })
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

const add = (name: string, value: string) => literal(name, value, true).toString('hex')
const long = (letter: string, bytes: number) => add(letter, 'v'.repeat(bytes - 33))

test('entries leave the table when the encoder drops them', () => {
  const decoder = new HpackDecoder()
  for (let i = 0; i < 4; i++) fields(decoder, long('abcd'[i], 1024))
  assert.match(fields(decoder, 'c1')[0], /^a=/)
  // One more byte than four entries of 1024.
  fields(decoder, long('e', 1025))
  assert.match(fields(decoder, 'c0')[0], /^c=/)
  assert.equal(decodes(decoder, 'c1'), false, 'a has left, and b with it')
})

test('a smaller table drops what does not fit, one of no size everything', () => {
  const decoder = new HpackDecoder()
  fields(decoder, long('a', 1000) + long('b', 1000) + long('c', 1000))
  fields(decoder, integer(2000, 5, 0x20).toString('hex'))
  assert.match(fields(decoder, 'bf')[0], /^b=/)
  assert.equal(decodes(decoder, 'c0'), false)
  // Down to nothing and up again, as encoders do to clear it.
  fields(decoder, `20${integer(4096, 5, 0x20).toString('hex')}`)
  assert.equal(decodes(decoder, 'be'), false)
  fields(decoder, add('new', '1'))
  assert.deepEqual(fields(decoder, 'be'), ['new=1'])
})

test('an entry larger than the table empties it', () => {
  const decoder = new HpackDecoder()
  fields(decoder, add('a', '1'))
  fields(decoder, long('b', 5000))
  assert.equal(decoder.sizeBytes, 0)
  assert.equal(decodes(decoder, 'be'), false)
})

test('joined late: a cleared table has nothing unknown any more', () => {
  const decoder = new HpackDecoder()
  decoder.forget()
  assert.deepEqual(fields(decoder, 'be'), ['?=?'])
  fields(decoder, `20${integer(4096, 5, 0x20).toString('hex')}`)
  assert.equal(decodes(decoder, 'be'), false)
})

test('a name of an older entry is unknown, its value is known', () => {
  const decoder = new HpackDecoder()
  decoder.forget()
  assert.deepEqual(fields(decoder, '7e0131'), ['?=1'])
  assert.deepEqual(fields(decoder, 'be'), ['?=1'])
})

test('long values are cut and say so; the table counts them whole', () => {
  const decoder = new HpackDecoder()
  decoder.decode(integer(60_000, 5, 0x20), 0, 4, { field: () => {} })
  const seen: Entry[] = []
  const bytes = literal('a', 'x'.repeat(20_000), true)
  assert.ok(decoder.decode(bytes, 0, bytes.length, { field: (entry) => seen.push(entry) }))
  assert.ok(seen[0].cut)
  assert.equal(seen[0].value?.length, TEXT_BYTES_MAX)
  assert.equal(decoder.sizeBytes, 20_000 + 1 + 32)
})

test('however large a table is allowed, what is kept of it is bounded', () => {
  const decoder = new HpackDecoder()
  fields(decoder, integer(1 << 30, 5, 0x20).toString('hex'))
  for (let i = 0; i < 1000; i++) fields(decoder, long('a', 1000))
  assert.ok(decoder.sizeBytes <= 64 * 1024)
  // What has left is unknown: the encoder may still have it.
  assert.deepEqual(fields(decoder, indexed(61 + 900).toString('hex')), ['?=?'])
})

test('saved and restored', () => {
  const decoder = new HpackDecoder()
  decoder.forget()
  fields(decoder, `7e0131${add('näme', 'välue')}${add('a', '')}`)
  const [out, texts] = [new StateWriter(), new TextWriter()]
  decoder.save(out, texts)
  const restored = new HpackDecoder()
  const state = new StateReader(out.finish())
  restored.restore(state, new TextReader())
  assert.ok(state.finished)
  assert.deepEqual(fields(restored, 'bebfc0c1'), fields(decoder, 'bebfc0c1'))
})
