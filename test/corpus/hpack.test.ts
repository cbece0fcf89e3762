/** The stories of http2jp's hpack-test-case: what fifteen encoders made of the same headers, and every late join of each. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { HPACK_OK, HpackDecoder } from '../../services/decode/protocols/http2/hpack/decoder.js'
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

/** Fields of a block; null stands for one that is not known. */
function decoded(decoder: HpackDecoder, wire: string): (Field | null)[] {
  const bytes = Buffer.from(wire, 'hex')
  const fields: (Field | null)[] = []
  const sink = {
    field: (name: string, value: string) => fields.push([name, value]),
    unknown: () => fields.push(null),
  }
  assert.equal(decoder.decode(bytes, 0, bytes.length, sink), HPACK_OK)
  return fields
}

test('every header of every story', { skip: NO_CORPUS }, (t) => {
  let headers = 0
  const all = stories()
  for (const { path, story } of all) {
    const decoder = new HpackDecoder()
    for (const each of story.cases) {
      const fields = decoded(decoder, each.wire as string)
      assert.deepEqual(fields, expected(each.headers), path)
      headers += fields.length
    }
  }
  assert.ok(all.length > 100)
  t.diagnostic(`${all.length} stories, ${headers} headers, all equal`)
})

test('joined at any block: nothing wrong, and all that can be known is', { skip: NO_CORPUS }, (t) => {
  let known = 0
  let asked = 0
  for (const { path, story } of stories()) {
    const step = Math.max(1, Math.floor(story.cases.length / 20))
    for (let first = 1; first < story.cases.length; first += step) {
      const decoder = new HpackDecoder()
      decoder.forget()
      for (const each of story.cases.slice(first)) {
        const fields = decoded(decoder, each.wire as string)
        const right = expected(each.headers)
        assert.equal(fields.length, right.length, path)
        for (const [i, field] of fields.entries()) {
          asked += 1
          if (field === null) continue
          known += 1
          assert.deepEqual(field, right[i], `${path}, joined at block ${first}`)
        }
      }
    }
  }
  t.diagnostic(`${asked} headers after late joins: ${known} known and right, ${asked - known} unknown, 0 wrong`)
})
