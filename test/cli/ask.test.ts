/** `klartext ask` before anything was stored: what a newcomer tries first. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { REPO_ROOT } from '../../services/core/repo_root.js'

function ask(...words: string[]) {
  const { CLICKHOUSE_URL: _, ...env } = process.env
  const command = [join(REPO_ROOT, 'services/cli/bin/klartext.mjs'), 'ask', ...words, '--data', '/nonexistent/klartext']
  return spawnSync(process.execPath, command, { encoding: 'utf8', env })
}

test('--list shows the questions without a store; a question needs one and says so in one line', () => {
  const listed = ask('--list')
  assert.equal(listed.status, 0)
  assert.equal(listed.stderr, '')
  for (const name of ['service_map', 'first_failing', 'dns_failures', 'egress', 'coverage']) {
    assert.match(listed.stdout, new RegExp(`\\b${name}\\b.*\\?`))
  }
  const asked = ask('service_map')
  assert.equal(asked.status, 1)
  assert.match(asked.stderr, /^nothing is stored in \/nonexistent\/klartext yet: [^\n]*\n$/)
})
