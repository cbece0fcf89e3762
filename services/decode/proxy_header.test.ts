import assert from 'node:assert/strict'
import { test } from 'node:test'
import { proxyHeaderBytes, UNDECIDED_HEADER } from './proxy_header.js'

const SIGNATURE = '\r\n\r\n\0\r\nQUIT\n'
const of = (text: string): number => proxyHeaderBytes(Buffer.from(`..${text}`, 'latin1'), 2, 2 + text.length)

test('headers of both versions, at every length', () => {
  const headers = [
    'PROXY TCP4 198.51.100.7 10.0.0.9 40000 443\r\n',
    `PROXY TCP6 ${'f:'.repeat(19)}f ::1 1 2\r\n`,
    'PROXY UNKNOWN\r\n',
    `${SIGNATURE}\x20\x00\x00\x00`,
    `${SIGNATURE}\x21\x11\x00\x0c${'a'.repeat(12)}`,
    `${SIGNATURE}\x21\x21\x01\x00${'a'.repeat(256)}`,
  ]
  for (const header of headers) {
    assert.equal(of(header), header.length)
    assert.equal(of(`${header}GET / HTTP/1.1\r\n`), header.length)
    for (let size = 0; size < header.length; size++) assert.equal(of(header.slice(0, size)), UNDECIDED_HEADER)
  }
})

test('what only begins like one is none', () => {
  const others = [
    'PRI * HTTP/2.0\r\n',
    'PROXIED',
    'PROXY /x HTTP/1.1\r\n',
    'PROXY TCP5 a b 1 2\r\n',
    `PROXY TCP4 ${'1'.repeat(200)}`,
    '\r\n\r\nGET / HTTP/1.1\r\n',
    `${SIGNATURE}\x11\x11\x00\x0c${'a'.repeat(12)}`,
    `${SIGNATURE}\x21\x11\xff\xff`,
  ]
  for (const other of others) assert.equal(of(other), 0, JSON.stringify(other))
})
