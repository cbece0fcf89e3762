/**
 * TLS objects that know no socket, many on one thread with equally many bytes at the same time: each gets its own
 * socket's addresses, or none; never another's.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nativeProgram } from '../native_program.js'
import { capture, NO_CAPTURE, run, withCertificate, withLibraries } from './harness.js'
import { openssl11 } from './openssl11.js'
import { flawOf, hashOf, type Said, type Stream, streamsOf } from './streams.js'

const CONNECTIONS = 48

const SOURCE = 'test/live/workloads/memory_bio.c'

async function loop(shape: string, loops = nativeProgram(SOURCE)): Promise<{ said: Said[]; streams: Stream[] }> {
  return await withCertificate(async (folder) => {
    let said: Said[] = []
    const { segments } = await capture({ ringBytes: 64 << 20 }, async () => {
      const words = [`${folder}/cert.pem`, `${folder}/key.pem`, shape, String(CONNECTIONS)]
      // BIO_write is looked at from the first object on that needs it: that one's own first records may be missed.
      if (shape === 'pair') await run(loops, words)
      const { stdout } = await run(loops, words)
      said = stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Said)
    })
    const pids = new Set(
      segments
        .filter(({ connection }) => connection.serverPort === said[0].server_port)
        .map(({ connection }) => connection.pid),
    )
    assert.equal(pids.size, 1)
    const streams = streamsOf(segments).filter(
      (stream) => stream.source === 'openssl' && pids.has(stream.pid) && stream.segments.length > 0,
    )
    return { said, streams }
  })
}

/** How many streams have addresses; fails where one has those of another connection, or other bytes than were sent. */
function check(said: readonly Said[], streams: readonly Stream[]): number {
  const sent = new Map<string, string>()
  for (const each of said) {
    const [toServer] = each.sent_to_server
    const [toClient] = each.sent_to_client
    sent.set(toServer, `${each.client_port} ${each.server_port} 0`)
    sent.set(toClient, `${each.client_port} ${each.server_port} 1`)
  }
  let bound = 0
  for (const stream of streams) {
    assert.equal(flawOf(stream), null)
    const [hash] = hashOf(stream)
    const ends = sent.get(hash)
    assert.ok(ends !== undefined, `bytes of port ${stream.clientPort} that nobody sent`)
    if (stream.clientIp === '') continue
    bound += 1
    assert.equal(`${stream.clientPort} ${stream.serverPort} ${stream.direction}`, ends)
  }
  assert.equal(streams.length, 4 * said.length, 'two ends and two directions of each connection')
  return bound
}

for (const shape of ['memory', 'pair']) {
  test(`${shape} BIOs: every connection has its own addresses`, { skip: NO_CAPTURE }, async (t) => {
    const { said, streams } = await loop(shape)
    assert.equal(check(said, streams), streams.length)
    t.diagnostic(`${streams.length / 2} ends of ${said.length} connections on one thread`)
  })
}

test('memory BIOs of OpenSSL 1.1: every connection has its own addresses', { skip: NO_CAPTURE }, async (t) => {
  const { ssl, crypto } = openssl11()
  const { said, streams } = await withLibraries([crypto, ssl], () =>
    loop('memory', nativeProgram(SOURCE, [ssl, crypto])),
  )
  assert.equal(check(said, streams), streams.length)
  t.diagnostic(`${streams.length / 2} ends of ${said.length} connections on one thread`)
})

test('records sent in vectors of which the first is 5 bytes: none is wrong', { skip: NO_CAPTURE }, async (t) => {
  const { said, streams } = await loop('vectors')
  t.diagnostic(`${check(said, streams)} of ${streams.length} streams have addresses`)
})
