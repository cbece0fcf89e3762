import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConnectionInfo, Segment, SegmentFlag, TO_CLIENT, TO_SERVER } from '../core/segment.js'
import { observe } from './golden/observe.js'
import { http1 } from './protocols/http1/http1.js'

const LOSSES = 66_000

test('a body that lost more pieces than the column counts has as many as it counts', () => {
  const connection = new ConnectionInfo(1n)
  const request = Buffer.from('GET /large HTTP/1.1\r\nhost: h\r\n\r\n')
  const answer = Buffer.from(`HTTP/1.1 200 OK\r\ncontent-length: ${2 * LOSSES}\r\n\r\n`)
  const segments = [
    new Segment(connection, TO_SERVER, 0, request.length, request, 1e15, 0, SegmentFlag.OPEN),
    new Segment(connection, TO_CLIENT, 0, answer.length, answer, 1e15 + 1, 0, 0),
  ]
  // Of each two bytes the first one.
  for (let i = 0; i < LOSSES; i++) {
    segments.push(new Segment(connection, TO_CLIENT, answer.length + 2 * i, 2, Buffer.from('x'), 1e15 + 2, 0, 0))
  }
  const [{ resource, gaps, complete, resp_bytes }] = observe(segments, [http1]).flows
  assert.deepEqual([resource, gaps, complete, resp_bytes], ['/large', 65_535, 0, 2 * LOSSES])
})
