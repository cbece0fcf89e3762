import assert from 'node:assert/strict'
import { test } from 'node:test'
import { table } from './output.js'

test('a table is aligned, and no name of a process or host steers the terminal', () => {
  const text = table(
    ['NAME', 'N'],
    [
      ['nginx', 7],
      ['\u001b[2Jx\u202e', 1234],
    ],
  )
  assert.equal(text, 'NAME    N\nnginx      7\n·[2Jx·  1234')
})
