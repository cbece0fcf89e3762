/** N lookups are N flows at each end: dig over UDP and TCP, and the resolver of libc. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { capture, decode, NO_CAPTURE, run } from './harness.js'

/** libc asks port 53 only. */
const SERVER = '127.0.0.57'
/** Answers 192.0.2.1 to every question for A, and NXDOMAIN for names that begin with `no`. */
const PROGRAM = `
import dgram from 'node:dgram'
import net from 'node:net'
function answer(query) {
  let end = 12
  while (query[end] !== 0) end += query[end] + 1
  const question = query.subarray(12, end + 5)
  const missing = query.toString('latin1', 13, 15) === 'no'
  const header = Buffer.from(query.subarray(0, 12))
  header.writeUInt16BE(0x8180 | (missing ? 3 : 0), 2)
  const isA = question.readUInt16BE(question.length - 4) === 1 && !missing
  header.writeUInt16BE(isA ? 1 : 0, 6)
  header.writeUInt16BE(0, 10)
  return Buffer.concat([header, question, isA ? Buffer.from('c00c000100010000003c0004c0000201', 'hex') : Buffer.alloc(0)])
}
const udp = dgram.createSocket('udp4', (query, from) => udp.send(answer(query), from.port, from.address))
udp.bind(53, '${SERVER}')
net.createServer((socket) => socket.on('data', (data) => {
  const reply = answer(data.subarray(2))
  const size = Buffer.alloc(2)
  size.writeUInt16BE(reply.length)
  socket.write(Buffer.concat([size, reply]))
})).listen(53, '${SERVER}')
`

/** Sends from a socket that is connected to nobody, and receives without asking from whom: as ldns does. */
const CARELESS = `
import socket, sys
server, name, others = sys.argv[1], sys.argv[2], sys.argv[3:]
query = lambda name: b'\\x12\\x34\\x01\\0\\0\\x01\\0\\0\\0\\0\\0\\0' + b''.join(bytes([len(part)]) + part.encode() for part in name.split('.')) + b'\\0\\0\\x01\\0\\x01'
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.settimeout(5)
for other in others: udp.sendto(query('stray.example.com'), (other, 9))
udp.sendto(query(name), (server, 53))
udp.recv(512)
`

test('who does not ask from whom an answer comes has asked one only, or it stays unknown', {
  skip: NO_CAPTURE,
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'klartext-dns-'))
  writeFileSync(join(folder, 'server.mjs'), PROGRAM)
  const server = spawn(process.execPath, [join(folder, 'server.mjs')])
  try {
    await sleep(500)
    const { segments } = await capture({}, async () => {
      for (let i = 0; i < 5; i++) {
        await run('python3', ['-c', CARELESS, SERVER, `one${i}.example.com`])
        await run('python3', ['-c', CARELESS, SERVER, `two${i}.example.com`, '127.0.0.58'])
      }
    })
    const flows = decode(segments).filter((flow) => flow.protocol === 'dns' && flow.capture_side === 'client')
    const named = (prefix: string) => flows.filter(({ resource }) => resource.startsWith(prefix))
    assert.deepEqual(
      named('one').map((flow) => [flow.resource, flow.outcome, flow.server_ip, flow.complete]),
      [0, 1, 2, 3, 4].map((i) => [`one${i}.example.com`, 'ok', SERVER, 1]),
    )
    const halves = named('two').map((flow) => `${flow.server_ip} ${flow.findings}`)
    assert.equal(halves.filter((half) => half === `${SERVER} `).length, 5)
    assert.equal(halves.filter((half) => half === '0.0.0.0 dns.response_without_query').length, 5)
  } finally {
    server.kill('SIGTERM')
    rmSync(folder, { recursive: true, force: true })
  }
})

test('dig over UDP and TCP, and getent', { skip: NO_CAPTURE }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'klartext-dns-'))
  writeFileSync(join(folder, 'server.mjs'), PROGRAM)
  writeFileSync(join(folder, 'resolv.conf'), `nameserver ${SERVER}\n`)
  const server = spawn(process.execPath, [join(folder, 'server.mjs')])
  try {
    await sleep(500)
    const { segments } = await capture({}, async () => {
      for (let i = 0; i < 15; i++) {
        await run('dig', [`@${SERVER}`, '+tries=1', `dig${i}.example.com`])
        await run('dig', [`@${SERVER}`, '+tries=1', '+tcp', `tcp${i}.example.com`])
        await run('dig', [`@${SERVER}`, '+tries=1', `no${i}.example.com`])
        const resolver = `mount --bind ${folder}/resolv.conf /etc/resolv.conf && exec getent ahostsv4 libc${i}.example.com`
        await run('unshare', ['-m', 'sh', '-c', resolver])
      }
    })
    const flows = decode(segments).filter((flow) => flow.protocol === 'dns')
    for (const side of ['client', 'server']) {
      for (const [prefix, transport, status] of [
        ['dig', 'udp', 0],
        ['tcp', 'tcp', 0],
        ['no', 'udp', 3],
        ['libc', 'udp', 0],
      ] as const) {
        const mine = flows.filter((flow) => flow.capture_side === side && flow.resource.startsWith(prefix))
        assert.equal(mine.length, 15, `${prefix} at the ${side}: ${mine.length} flows of 15 lookups`)
        assert.equal(new Set(mine.map((flow) => flow.resource)).size, 15)
        for (const flow of mine) {
          assert.equal(flow.method, 'A')
          assert.equal(flow.endpoint, 'example.com')
          assert.equal(flow.transport, transport)
          assert.equal(flow.status_code, status)
          if (status === 0) assert.equal(flow.attrs['dns.answers'], 'A 192.0.2.1')
          assert.equal(flow.complete, 1)
          assert.equal(flow.server_port, 53)
          assert.ok(flow.latency_us > 0 && flow.latency_us < 5_000_000, `${flow.resource}: ${flow.latency_us} µs`)
        }
      }
    }
    t.diagnostic(`60 lookups: ${flows.length} flows at two ends`)
  } finally {
    server.kill('SIGTERM')
    rmSync(folder, { recursive: true, force: true })
  }
})
