import assert from 'node:assert/strict'
import { test } from 'node:test'
import { jobName, parseJobName } from './job_name.js'
import { parseReplayId, replayId, replayRequest, replayTables } from './request.js'

const window = { fromUs: 1_000_000, toUs: 2_000_000 }

test('the same request, however it is written, has the same id; another one another', () => {
  const one = replayRequest({ ...window, filter: { addresses: ['2001:DB8:0::1', '10.0.0.1'], ports: [443, 80, 443] } })
  const two = replayRequest({ ...window, filter: { addresses: ['10.0.0.1', '2001:db8::1'], ports: [80, 443] } })
  assert.equal(replayId(one), replayId(two))
  assert.match(replayId(one), /^replay_[0-9a-f]{16}$/)
  const others = [
    replayRequest(window),
    replayRequest({ ...window, toUs: 2_000_001 }),
    replayRequest({ ...window, leadUs: 0 }),
    replayRequest({ ...window, archive: '/a' }),
    replayRequest({ ...window, filter: { connIds: ['0007'] } }),
  ]
  assert.equal(new Set([one, ...others].map(replayId)).size, 6)
  assert.deepEqual(others[4].filter.connIds, ['7'])
})

test('what is no window, address, port, name or conn_id is refused in one line', () => {
  for (const [filter, message] of [
    [{ addresses: ['10.0.0'] }, '"10.0.0" is no address'],
    [{ addresses: ['fe80::1%eth0'] }, '"fe80::1%eth0" is no address'],
    [{ ports: [65_536] }, '65536 is no port'],
    [{ ports: [Number.NaN] }, 'NaN is no port'],
    [{ namespaces: ['a\nb'] }, '"a·b" is no namespace'],
    [{ workloads: [''] }, '"" is no workload'],
    [{ connIds: ['18446744073709551616'] }, '"18446744073709551616" is no conn_id: those are whole numbers of 64 bits'],
    [{ connIds: ['-1'] }, '"-1" is no conn_id: those are whole numbers of 64 bits'],
  ] as const) {
    assert.throws(() => replayRequest({ ...window, filter }), { code: 'USAGE', message })
  }
  for (const toUs of [1_000_000, 0, Number.NaN])
    assert.throws(() => replayRequest({ ...window, toUs }), { code: 'USAGE' })
})

test('ids come with and without their prefix; what is none is not passed on', () => {
  assert.equal(parseReplayId('0123456789abcdef'), 'replay_0123456789abcdef')
  assert.equal(parseReplayId('replay_0123456789abcdef'), 'replay_0123456789abcdef')
  for (const text of [
    '',
    'replay_',
    '0123456789ABCDEF',
    "'; DROP TABLE flows",
    '../../x',
    'replay_0123456789abcdef\u001b[2J',
  ]) {
    assert.throws(() => parseReplayId(text), { code: 'USAGE' })
  }
})

test('names of jobs and tables', () => {
  const id = 'replay_0123456789012345'
  assert.deepEqual(parseJobName(jobName({ id, generation: 3 }, 11)), { id, generation: 3, part: 11 })
  for (const name of ['', id, `${id}.1`, `${id}.1.x`, `${id}.1.2.3`]) assert.equal(parseJobName(name), null)
  assert.deepEqual(replayTables(id, 1), { flows: `${id}_flows`, connections: `${id}_connections` })
  assert.equal(replayTables(id, 2).flows, `${id}_2_flows`)
})
