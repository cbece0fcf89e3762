/** Redis of real captures against Zeek's baselines. */
import assert from 'node:assert/strict'
import { basename } from 'node:path'
import { test } from 'node:test'
import type { Flow } from '../../services/core/flow.js'
import { corpusFiles, NO_CORPUS } from './corpus.js'
import { decodeCapture } from './decode_capture.js'
import { beside, zeekRows } from './expected.js'

const skip = NO_CORPUS

interface Row {
  readonly command: string
  readonly key: string
  /** `T`, `F`, or `-` where no reply belongs to it. */
  readonly success: string
}

const rowOf = (row: Record<string, string>): Row => ({
  command: row['cmd.name'] ?? '-',
  key: (row['cmd.key'] ?? '-').replace(/^-$/, ''),
  success: row.success ?? '-',
})

/**
 * Where a baseline differs by definition, or shows limits that its test has set on purpose:
 * - excessive-pipelining: Zeek was told to stop at 5 commands, and shows the others as replies without a command: all 12
 *   are PING, answered;
 * - `-smaller` and `-uncapped`: the same capture as `-default`, with keys cut at 10 bytes, and filtered;
 * - CLIENT REPLY: the subcommand belongs to our method;
 * - FAKE COMMAND and FAKE2 COMMAND2 have an argument, which neither side takes for a key.
 */
const NOT_COMPARED = /redis-smaller|redis-uncapped/

function asZeek(flow: Flow): Row {
  const [command] = flow.method.split(' ')
  const success = flow.attrs['redis.reply_mode'] !== undefined ? '-' : flow.status_code === 0 ? 'T' : 'F'
  return { command, key: flow.resource, success }
}

function isCommand(flow: Flow): boolean {
  return flow.method !== '' && !flow.method.startsWith('PUSH')
}

test('Zeek: every command of its redis.log with its key and success, in order, and no other', { skip }, async (t) => {
  let found = 0
  let total = 0
  for (const file of corpusFiles('redis')) {
    const name = basename(file.path)
    const logs = beside(file.fullPath, /redis(-default)?\.log$/)
    for (const log of logs.filter((each) => !NOT_COMPARED.test(each))) {
      let rows = zeekRows(log).map(rowOf)
      if (name.startsWith('excessive')) rows = rows.map((row) => ({ ...row, command: 'PING' }))
      const { flows } = await decodeCapture(file.fullPath)
      const ours = flows.filter(isCommand).map(asZeek)
      total += rows.length
      for (const [i, row] of rows.entries()) {
        const one = ours[i]
        if (one?.command === row.command && one.key === row.key && one.success === row.success) found += 1
        else t.diagnostic(`${log} row ${i}: ${JSON.stringify(row)}, ours ${JSON.stringify(one)}`)
      }
      assert.equal(ours.length, rows.length, `${log}: ${ours.length} commands`)
    }
  }
  t.diagnostic(`${found} of ${total} commands`)
  assert.ok(total >= 185)
  assert.equal(found, total)
})

const decodeNamed = async (name: string) => {
  const file = corpusFiles('redis').find((each) => each.path.endsWith(name))
  assert.ok(file, name)
  return (await decodeCapture(file.fullPath)).flows
}

test('users, pushes and the commands of captures without a log', { skip }, async () => {
  const auth = await decodeNamed('auth.pcap')
  assert.deepEqual(
    auth.map((flow) => `${flow.method} ${flow.error} ${flow.attrs['db.query.text']}`),
    ['AUTH WRONGPASS AUTH notauser ***', 'AUTH  AUTH default ***', 'AUTH WRONGPASS AUTH noone ***'],
  )
  assert.equal(new Set(auth.map((flow) => flow.principal)).size, 3)
  // Zeek lists the two confirmations among the five pushes; here they complete SUBSCRIBE and PSUBSCRIBE.
  const pushes = await decodeNamed('pubsub-resp3.pcap')
  assert.deepEqual(
    pushes.filter((flow) => flow.method.startsWith('PUSH')).map((flow) => `${flow.method} ${flow.resource}`),
    ['PUSH MESSAGE Foo', 'PUSH PMESSAGE Foo', 'PUSH PMESSAGE Foobar'],
  )
  const subscribe = pushes.find((flow) => flow.method === 'SUBSCRIBE')
  assert.equal(subscribe?.complete, 1)
  assert.equal(pushes.filter(isCommand).length, 10)
  const joined = await decodeNamed('start-with-server.pcapng')
  assert.deepEqual(
    joined.filter(isCommand).map((flow) => `${flow.method} ${flow.resource}`),
    ['SET hello'],
  )
  assert.equal(joined[0].server_port, 6379)
})

/** Filed as other protocols, these do hold Redis. */
const HOLDS_REDIS = new Set<string>()

test('traffic that is not Redis is never called Redis', { skip }, async (t) => {
  let claims = 0
  for (const file of corpusFiles(
    'detect-negative',
    'http1',
    'http1-evader',
    'dns',
    'tls',
    'postgresql',
    'mysql',
    'http2',
  )) {
    const { connections } = await decodeCapture(file.fullPath)
    if (HOLDS_REDIS.has(basename(file.path))) continue
    const claimed = connections.filter((row) => row.protocol === 'redis').length
    claims += claimed
    if (claimed > 0) t.diagnostic(`claimed ${file.path}: ${file.notes}`)
  }
  assert.equal(claims, 0)
})
