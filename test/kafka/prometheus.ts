/** Metrics as Prometheus' own client library reads them, and the names they may have. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'

const READER = `
import json, sys
from prometheus_client.parser import text_string_to_metric_families as families
print(json.dumps([[f.name, f.type, f.documentation, [[s.name, s.labels, s.value] for s in f.samples]]
    for f in families(sys.stdin.read())]))
`
const NAME = /^klartext_[a-z_]+$|^process_(cpu_seconds|resident_memory_bytes|start_time_seconds)$/
/** Labels that come from closed sets. */
const LABELS = new Set(['topic', 'partition', 'reason', 'code', 'state', 'source', 'kind', 'rule', 'severity', 'le'])

type Family = readonly [
  name: string,
  type: string,
  help: string,
  samples: readonly (readonly [string, object, number])[],
]

/** Throws where a name, a type or a label is not as it should be; answers the names. */
export function checkMetrics(text: string): string[] {
  const { status, stdout, stderr } = spawnSync('/usr/bin/python3', ['-c', READER], { input: text, encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  const families = JSON.parse(stdout) as Family[]
  assert.equal(new Set(families.map(([name]) => name)).size, families.length, 'a metric is there twice')
  for (const [name, type, help, samples] of families) {
    assert.match(name, NAME)
    assert.match(help, /\S\.$/, `${name} says nothing of itself`)
    // The library takes `_total` off the names of counters.
    assert.equal(text.includes(`# TYPE ${name}_total counter\n`), type === 'counter', name)
    for (const [, labels, value] of samples) {
      assert.ok(Number.isFinite(value), name)
      for (const label of Object.keys(labels)) assert.ok(LABELS.has(label), `${name} has a label ${label}`)
    }
  }
  return families.map(([name]) => name)
}
