/** The built command on small files: exit codes, one-line errors, forms of output. */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { PcapngWriter } from '../../services/adapters/pcap/writer.js'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import { ConnectionInfo, type Direction, Segment, SegmentFlag } from '../../services/core/segment.js'

const folder = mkdtempSync(join(tmpdir(), 'klartext-cli-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const SCRIPT = join(REPO_ROOT, 'services/cli/bin/klartext.mjs')

function klartext(...words: string[]) {
  const done = spawnSync(process.execPath, [SCRIPT, ...words], { encoding: 'utf8' })
  return { code: done.status, out: done.stdout, err: done.stderr }
}

function file(name: string, bytes: Buffer | string): string {
  const path = join(folder, name)
  writeFileSync(path, bytes)
  return path
}

/** A capture of `texts`, each said in turn by client and server, 1 ms apart. */
function captureFile(name: string, texts: readonly string[]): string {
  const path = join(folder, name)
  const info = new ConnectionInfo(1n)
  Object.assign(info, { clientIp: '10.0.0.1', clientPort: 40_000, serverIp: '10.0.0.2', serverPort: 80 })
  const positions = [0, 0]
  const writer = new PcapngWriter(path)
  const segments = texts.map((text, i) => {
    const direction = (i % 2) as Direction
    const payload = Buffer.from(text, 'latin1')
    const segment = new Segment(
      info,
      direction,
      positions[direction],
      payload.length,
      payload,
      1_790_000_000_000_000 + i * 1000,
      7,
      0,
    )
    positions[direction] += payload.length
    return segment
  })
  const last = texts.length * 1000 + 1_790_000_000_000_000
  for (const direction of [0, 1] as const) {
    segments.push(new Segment(info, direction, positions[direction], 0, Buffer.alloc(0), last, 0, SegmentFlag.CLOSE))
  }
  writer.write(segments)
  writer.close()
  return path
}

const EXCHANGE = ['GET /items/42?q=1 HTTP/1.1\r\nHost: shop\r\n\r\n', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok']

test('an exchange is one JSON object with all columns', () => {
  const { code, out } = klartext('read', captureFile('one.pcapng', EXCHANGE))
  assert.equal(code, 0)
  const flow = JSON.parse(out)
  assert.equal(flow.method, 'GET')
  assert.equal(flow.host, 'shop')
  assert.equal(flow.resource, '/items/42?q=1')
  assert.equal(flow.endpoint, '/items/{id}')
  assert.equal(flow.status_code, 200)
  assert.equal(flow.resp_bytes, 2)
  assert.equal(flow.latency_us, 1000)
  assert.equal(flow.client_ip, '10.0.0.1')
  assert.equal(flow.complete, 1)
})

test('chosen columns, as JSON and as tab-separated values with their names', () => {
  const path = captureFile('columns.pcapng', EXCHANGE)
  const columns = ['--columns', 'status_code,method,resource']
  const json = klartext('read', '-q', ...columns, path)
  assert.equal(json.out, '{"status_code":200,"method":"GET","resource":"/items/42?q=1"}\n')
  for (const format of ['tsv', 'TSVWithNames']) {
    const { code, out } = klartext('read', '-q', '--format', format, ...columns, path)
    assert.equal(code, 0)
    assert.equal(out, 'status_code\tmethod\tresource\n200\tGET\t/items/42?q=1\n')
  }
  const two = klartext('read', '-q', '--format', 'tsv', '--columns', 'method', path, path)
  assert.equal(two.out, `file\tmethod\n${path}\tGET\n${path}\tGET\n`)
})

test('a column that there is not is one line with the name that was meant', () => {
  const asked = ['status', 'recource', 'client.ip', 'METHOD'].map((name) =>
    klartext('read', '--columns', `ts,${name}`, 'x'),
  )
  assert.deepEqual(
    asked.map(({ code, err }) => [code, err]),
    [
      [2, 'there is no column "status"; the nearest is status_code\n'],
      [2, 'there is no column "recource"; the nearest is resource\n'],
      [2, 'there is no column "client.ip"; the nearest is client_ip\n'],
      [2, 'there is no column "METHOD"; the nearest is method\n'],
    ],
  )
})

test('standard input is decoded as it comes', { timeout: 60_000 }, async () => {
  const bytes = readFileSync(captureFile('live.pcapng', [...EXCHANGE, ...EXCHANGE]))
  const second = bytes.indexOf('GET ', bytes.indexOf('GET ') + 1)
  const child = spawn(process.execPath, [SCRIPT, 'read', '-', '--columns', 'method,status_code', '--format', 'tsv'])
  let out = ''
  child.stdout.setEncoding('utf8')
  child.stdin.write(bytes.subarray(0, second))
  for await (const piece of child.stdout) {
    out += piece
    if (out.endsWith('GET\t200\n')) child.stdin.end(bytes.subarray(second))
  }
  assert.equal(out, 'method\tstatus_code\nGET\t200\nGET\t200\n')
})

test('files that are none of ours are one line and exit code 1', () => {
  const cases = [
    file('empty', ''),
    file('one byte', 'x'),
    file('three bytes', '\x1f\x8b\x08'),
    file('picture.png', Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex')),
    join(folder, 'missing.pcap'),
    folder,
  ]
  for (const path of cases) {
    const { code, out, err } = klartext('read', '-q', path)
    assert.equal(code, 1, path)
    assert.equal(out, '')
    assert.match(err, new RegExp(`^${path}: [^\\n]+\\n$`))
  }
})

test('a file that is cut gives what came before, one line with the position, and exit code 3', () => {
  const whole = readFileSync(captureFile('whole.pcapng', [...EXCHANGE, ...EXCHANGE]))
  const { code, out, err } = klartext('read', '-q', file('cut.pcapng', whole.subarray(0, whole.length - 5)))
  assert.equal(code, 3)
  assert.equal(out.trim().split('\n').length, 2)
  assert.match(err, /cut\.pcapng: cut inside a record that starts at byte \d+; [^\n]+\n$/)
})

test('one bad file does not keep the others from being read; flows then carry their file', () => {
  const good = captureFile('good.pcapng', EXCHANGE)
  const { code, out } = klartext('read', '-q', join(folder, 'missing.pcap'), good)
  assert.equal(code, 1)
  assert.equal(JSON.parse(out).file, good)
})

test('wrong usage is one line and exit code 2', () => {
  for (const words of [
    ['read'],
    ['read', '--nope', 'x'],
    ['read', '--format', 'xml', 'x'],
    ['read', '--columns', '', 'x'],
    ['read', '--format', 'table', '--columns', 'ts', 'x'],
    ['nonsense'],
    ['convert', 'x'],
    ['sql'],
  ]) {
    const { code, err } = klartext(...words)
    assert.equal(code, 2, words.join(' '))
    assert.match(err, /^[^\n]+\n$/)
  }
})

test('hostile messages become marked flows', () => {
  const huge = `GET /${'a'.repeat(100_000)} HTTP/1.1\r\n`
  for (const [name, texts] of [
    ['chunk.pcapng', [EXCHANGE[0], 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8000000000000000\r\nx']],
    ['endless.pcapng', [`GET / HTTP/1.1\r\nHost: a\r\n${'X: y\r\n'.repeat(30_000)}`, EXCHANGE[1]]],
    ['target.pcapng', [huge, EXCHANGE[1]]],
  ] as const) {
    const { code, err } = klartext('read', '-q', captureFile(name, texts))
    assert.equal(code, 0, name)
    assert.equal(err, '')
  }
})

test('a policy masks; an unknown key in it is refused by name', () => {
  const capture = captureFile('policy.pcapng', EXCHANGE)
  const { out } = klartext('read', '-q', '--policy', file('policy.json', '{"level":"metadata"}'), capture)
  const flow = JSON.parse(out)
  assert.equal(flow.resource, '/items/42?q=***')
  assert.deepEqual(flow.redactions, ['resource'])
  const { code, err } = klartext('read', '--policy', file('bad.json', '{"levle":"full"}'), capture)
  assert.equal(code, 1)
  assert.match(err, /bad\.json: unknown key "levle"/)
})

test('archive and back: the same flows', () => {
  const capture = captureFile('there.pcapng', EXCHANGE)
  const archive = join(folder, 'there.ktseg')
  const back = join(folder, 'back.pcapng')
  assert.equal(klartext('convert', capture, archive).code, 0)
  assert.equal(klartext('convert', archive, back).code, 0)
  const flows = [capture, archive, back].map((path) => {
    const flow = JSON.parse(klartext('read', '-q', path).out)
    return [flow.ts, flow.latency_us, flow.method, flow.resource, flow.client_ip, flow.client_port]
  })
  assert.deepEqual(flows[1], flows[0])
  assert.deepEqual(flows[2], flows[0])
})

test('a file is not converted into itself', () => {
  const capture = captureFile('itself.pcapng', EXCHANGE)
  const before = readFileSync(capture)
  for (const out of [capture, join(folder, '.', 'x', '..', 'itself.pcapng')]) {
    const { code, err } = klartext('convert', capture, out)
    assert.equal(code, 2)
    assert.match(err, /is both IN and OUT\n$/)
  }
  assert.deepEqual(readFileSync(capture), before)
})

test('every command explains itself', () => {
  const { out } = klartext('--help')
  const names = [...out.matchAll(/^ {2}(\w+) /gm)].map((match) => match[1])
  assert.ok(names.length >= 9)
  for (const name of names) assert.match(klartext(name, '--help').out, new RegExp(`^klartext ${name}`))
})
