/** The stories of http2jp's hpack-test-case: what fifteen encoders made of the same headers, and every late join of each. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { HpackDecoder } from '../../services/decode/protocols/http2/hpack/decoder.js'
import type { Entry } from '../../services/decode/protocols/http2/hpack/entry.js'
import { corpusStories, NO_CORPUS } from './corpus.js'

interface Story {
  readonly cases: readonly { readonly wire?: string; readonly headers: readonly Readonly<Record<string, string>>[] }[]
}

type Field = readonly [string, string]

function stories(): { path: string; story: Story }[] {
  return corpusStories('hpack')
    .map(({ path, fullPath }) => ({ path, story: JSON.parse(gunzipSync(readFileSync(fullPath)).toString()) as Story }))
    .filter(({ story }) => story.cases.every(({ wire }) => wire !== undefined))
}

const expected = (headers: readonly Readonly<Record<string, string>>[]): Field[] =>
  headers.map((each) => Object.entries(each)[0])

function decoded(decoder: HpackDecoder, wire: string): Entry[] {
  const bytes = Buffer.from(wire, 'hex')
  const entries: Entry[] = []
  assert.ok(decoder.decode(bytes, 0, bytes.length, { field: (entry) => entries.push(entry) }))
  return entries
}

test('every header of every story', { skip: NO_CORPUS }, (t) => {
  let headers = 0
  const all = stories()
  for (const { path, story } of all) {
    const decoder = new HpackDecoder()
    for (const each of story.cases) {
      const fields = decoded(decoder, each.wire as string).map(({ name, value }) => [name, value])
      assert.deepEqual(fields, expected(each.headers), path)
      headers += fields.length
    }
  }
  assert.ok(all.length > 100)
  t.diagnostic(`${all.length} stories, ${headers} headers, all equal`)
})

/** In which block each field came first: whenever an index names it, the same entry stands for it. */
function firstSeen(blocks: readonly Entry[][]): Map<Entry, number> {
  const seen = new Map<Entry, number>()
  for (const [i, entries] of blocks.entries()) for (const entry of entries) if (!seen.has(entry)) seen.set(entry, i)
  return seen
}

test('joined at any block: nothing wrong, and all that can be known is', { skip: NO_CORPUS }, (t) => {
  let known = 0
  let asked = 0
  for (const { path, story } of stories()) {
    const whole = new HpackDecoder()
    const all = story.cases.map(({ wire }) => decoded(whole, wire as string))
    const added = firstSeen(all)
    const step = Math.max(1, Math.floor(story.cases.length / 20))
    for (let first = 1; first < story.cases.length; first += step) {
      const decoder = new HpackDecoder()
      decoder.forget()
      for (const [i, each] of story.cases.slice(first).entries()) {
        const entries = decoded(decoder, each.wire as string)
        const right = all[first + i]
        assert.equal(entries.length, right.length, path)
        for (const [k, { name, value }] of entries.entries()) {
          asked += 1
          const how = `${path}, joined at block ${first}`
          if (name !== null) assert.equal(name, right[k].name, how)
          if (value !== null) assert.equal(value, right[k].value, how)
          if (name !== null && value !== null) known += 1
          // A value alone was named by an entry that was added before; of an entry added since, all is known.
          else if (value === null) assert.ok((added.get(right[k]) as number) < first, how)
        }
      }
    }
  }
  t.diagnostic(`${asked} headers after late joins: ${known} known and right, ${asked - known} cannot be known, 0 wrong`)
})
