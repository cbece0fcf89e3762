/** A connection that stays encrypted to us, between GnuTLS's own client and server: its handshake is a flow at each end. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { connect } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Flow } from '../../services/core/flow.js'
import { capture, decode, freePort, NO_CAPTURE, run, withCertificate } from './harness.js'

const HANDSHAKES = 10
const NAME = 'shop.example'
const SECRET = 'nobody reads this'

async function listening(port: number): Promise<void> {
  for (let i = 0; i < 200; i++) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false))
      socket.unref()
      setTimeout(() => socket.destroy(), 20)
    })
    if (open) return
    await sleep(50)
  }
  throw new Error(`nothing listens on port ${port}`)
}

async function server(folder: string, port: number, priority: string): Promise<ChildProcess> {
  const files = [`--x509keyfile=${join(folder, 'key.pem')}`, `--x509certfile=${join(folder, 'cert.pem')}`]
  const words = ['--echo', '--quiet', `--port=${port}`, '--alpn=http/1.1', `--priority=${priority}`, ...files]
  const child = spawn('gnutls-serv', words, { stdio: 'ignore' })
  await listening(port)
  return child
}

/** One line to the server and back. */
async function call(port: number, priority: string): Promise<void> {
  const words = ['--insecure', '--no-ocsp', `--sni-hostname=${NAME}`, '--verify-hostname=localhost', '--alpn=http/1.1']
  const child = spawn('gnutls-cli', [...words, `--priority=${priority}`, `--port=${port}`, '127.0.0.1'])
  let said = ''
  const echoed = new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (data: Buffer) => {
      said += data.toString('latin1')
      if (said.includes(SECRET)) resolve()
    })
    child.once('exit', (code) => reject(new Error(`gnutls-cli ended with ${code}: ${said.slice(-500)}`)))
  })
  child.stdin.write(`${SECRET}\n`)
  await echoed
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.stdin.end()
  await gone
}

function assertHandshakes(flows: readonly Flow[], port: number, version: string, check: (flow: Flow) => void): void {
  for (const side of ['client', 'server']) {
    const mine = flows.filter((flow) => flow.capture_side === side && flow.server_port === port && flow.sni === NAME)
    assert.equal(mine.length, HANDSHAKES, `${version} at the ${side}: ${mine.length} flows of ${HANDSHAKES} handshakes`)
    for (const flow of mine) {
      const { attrs } = flow
      assert.equal(flow.protocol, 'tls')
      assert.equal(flow.method, 'handshake')
      assert.equal(flow.tls_version, version)
      assert.equal(flow.outcome, 'ok')
      assert.equal(flow.complete, 1, `${flow.findings}`)
      assert.equal(attrs['tls.established'], 'true')
      assert.equal(attrs['tls.client.alpn'], 'http/1.1')
      assert.match(attrs['tls.cipher'], /^TLS_/)
      assert.match(attrs['tls.client.ja3'], /^[0-9a-f]{32}$/)
      assert.match(attrs['tls.server.ja3s'], /^[0-9a-f]{32}$/)
      assert.ok(flow.latency_us > 0 && flow.latency_us < 10_000_000, `${flow.latency_us} µs`)
      check(flow)
    }
    // One client program, one fingerprint.
    assert.equal(new Set(mine.map(({ attrs }) => attrs['tls.client.ja4'])).size, 1)
  }
}

test('GnuTLS: names, fingerprints and certificate of connections nobody decrypts', { skip: NO_CAPTURE }, async (t) => {
  await withCertificate(async (folder) => {
    const [port12, port13] = [await freePort(), await freePort()]
    const [only12, only13] = ['NORMAL:-VERS-ALL:+VERS-TLS1.2', 'NORMAL:-VERS-ALL:+VERS-TLS1.3']
    const servers: ChildProcess[] = []
    try {
      servers.push(await server(folder, port12, only12), await server(folder, port13, only13))
      const { segments, stats } = await capture({}, async () => {
        for (let i = 0; i < HANDSHAKES; i++) {
          await call(port12, only12)
          await call(port13, only13)
        }
      })
      assert.equal(stats.lost.ring_full.count, 0)
      const flows = decode(segments)
      const { stdout } = await run('openssl', [
        'x509',
        '-in',
        join(folder, 'cert.pem'),
        '-noout',
        '-serial',
        '-enddate',
      ])
      const serial = /serial=([0-9A-F]+)/.exec(stdout)?.[1]
      const until = new Date(/notAfter=(.*)/.exec(stdout)?.[1] ?? '').toISOString()
      assertHandshakes(flows, port12, 'TLSv1.2', ({ attrs }) => {
        assert.match(attrs['tls.client.ja4'], /^t12d\d{4}h1_[0-9a-f]{12}_[0-9a-f]{12}$/)
        assert.equal(attrs['tls.next_protocol'], 'http/1.1')
        assert.equal(attrs['tls.server.subject'], 'CN=localhost')
        assert.equal(attrs['tls.server.issuer'], 'CN=localhost')
        assert.equal(attrs['tls.server.serial'], serial)
        assert.equal(attrs['tls.server.not_after'], until)
      })
      // Of TLS 1.3 the certificate and the chosen protocol are secret.
      assertHandshakes(flows, port13, 'TLSv1.3', ({ attrs }) => {
        assert.match(attrs['tls.client.ja4'], /^t13d\d{4}h1_[0-9a-f]{12}_[0-9a-f]{12}$/)
        assert.equal(attrs['tls.server.subject'], undefined)
      })
      const mine = flows.filter(({ server_port }) => server_port === port12 || server_port === port13)
      assert.ok(mine.every(({ protocol }) => protocol === 'tls'))
      assert.ok(!JSON.stringify(mine).includes(SECRET))
      t.diagnostic(`${2 * HANDSHAKES} handshakes: ${mine.length} flows at two ends`)
    } finally {
      for (const child of servers) child.kill('SIGTERM')
    }
  })
})
