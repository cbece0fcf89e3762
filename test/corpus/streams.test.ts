/** Reassembled TCP streams of real captures equal tshark's `follow,tcp,raw`, by SHA-1 of each direction. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { PcapSource } from '../../services/adapters/pcap/source.js'
import type { ConnectionInfo } from '../../services/core/segment.js'
import { corpusFiles, NO_CORPUS } from './corpus.js'

interface Expected {
  readonly b0: number
  readonly sha1_0: string
  readonly b1: number
  readonly sha1_1: string
}

/**
 * Where tshark's answer is not ours, and why. A direction listed here may differ, any other must be equal:
 * - after a reset of the client the server still sent: nobody received that, so that it is counted (`after_reset`) and left out;
 * - IP fragments that overlap with other bytes on purpose: the first copy wins (as RFC 5722 and 9099 leave open), tshark takes the last;
 * - a hole that nobody acknowledged before the capture ended: tshark leaves out what stands behind it.
 */
const DIFFERS = new Set([
  'suricata-verify/http1/bug-78-uricontent.pcap',
  'zeek/encap/ipv4__fragmented-4.pcap',
  'zeek/encap/tunnels__gtp__gtp9_unknown_or_too_short_payload.pcap',
])

class Stream {
  readonly hashes = [createHash('sha1'), createHash('sha1')]
  readonly bytes = [0, 0]
}

async function streamsOf(path: string): Promise<string[]> {
  const streams = new Map<ConnectionInfo, Stream>()
  const source = new PcapSource(path)
  try {
    for await (const batch of source.batches()) {
      for (const segment of batch) {
        if (segment.connection.transport !== 'tcp') continue
        let stream = streams.get(segment.connection)
        if (stream === undefined) streams.set(segment.connection, (stream = new Stream()))
        stream.hashes[segment.direction].update(segment.payload)
        stream.bytes[segment.direction] += segment.payload.length
      }
    }
  } catch (error) {
    if ((error as { code?: string }).code === undefined) throw error
  }
  const found: string[] = []
  for (const stream of streams.values()) {
    for (const direction of [0, 1]) {
      if (stream.bytes[direction] === 0) continue
      found.push(`${stream.bytes[direction]} ${stream.hashes[direction].digest('hex')}`)
    }
  }
  return found
}

test('reassembled streams equal tshark byte for byte', { skip: NO_CORPUS }, async (t) => {
  let equal = 0
  let total = 0
  let known = 0
  const wrong: string[] = []
  for (const file of corpusFiles('http1', 'http1-evader', 'tcp-reassembly', 'encap')) {
    const list = `${file.fullPath}.streams.jsonl`
    if (!existsSync(list)) continue
    const found = await streamsOf(file.fullPath)
    for (const line of readFileSync(list, 'utf8').split('\n').filter(Boolean)) {
      const expected: Expected = JSON.parse(line)
      for (const [size, sha1] of [
        [expected.b0, expected.sha1_0],
        [expected.b1, expected.sha1_1],
      ] as const) {
        if (size === 0) continue
        total += 1
        const at = found.indexOf(`${size} ${sha1}`)
        if (at >= 0) {
          found.splice(at, 1)
          equal += 1
        } else {
          if (DIFFERS.has(file.path)) known += 1
          else wrong.push(`${file.path}: ${line}`)
        }
      }
    }
  }
  t.diagnostic(`directions equal: ${equal} of ${total}; ${known} differ for a known reason`)
  assert.deepEqual(wrong, [])
  assert.ok(total > 900)
  assert.equal(known, DIFFERS.size)
})
