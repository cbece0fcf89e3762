/** The capturer needs exactly the powers that its manifest gives it, to see a container's process of another user. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseAllDocuments } from 'yaml'
import type { Flow } from '../../services/core/flow.js'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import { freePort, NO_CAPTURE, run, withCertificate } from './harness.js'

const REQUESTS = 10
const SERVER = `
import https from 'node:https'
import { readFileSync } from 'node:fs'
const [port, folder] = process.argv.slice(2)
const tls = { key: readFileSync(folder + '/key.pem'), cert: readFileSync(folder + '/cert.pem') }
https.createServer(tls, (request, response) => response.end('hello')).listen(port, '127.0.0.1')
`
const NOBODY = ['--reuid', '65534', '--regid', '65534', '--clear-groups']
/** Node's own OpenSSL in a file that is seen from within the process's mounts only, as in a container. */
const CONTAINED = `mount -t tmpfs none "$1/own" && cp "$2" "$1/own/node" && exec setpriv ${NOBODY.join(' ')} "$1/own/node" "$1/server.mjs" "$3" "$1"`

function manifestPowers(): string[] {
  const text = readFileSync(join(REPO_ROOT, 'k8s/base/capture/daemonset.yaml'), 'utf8')
  const [container] = parseAllDocuments(text).flatMap((each) => each.toJS().spec?.template.spec.containers ?? []) as {
    securityContext: { capabilities: { add: string[] } }
  }[]
  return container.securityContext.capabilities.add.map((name) => name.toLowerCase())
}

/** Records while curl asks a server, both as nobody, with no more than these powers. Answers the flows of TLS. */
async function recorded(folder: string, port: number, powers: readonly string[]): Promise<Flow[]> {
  const set = ['-all', ...powers.map((name) => `+${name}`)].join(',')
  const archive = join(folder, `${powers.join('_')}.ktseg`)
  const klartext = join(REPO_ROOT, 'services/cli/bin/klartext.mjs')
  const words = ['--bounding-set', set, '--inh-caps', set, '--no-new-privs', process.execPath, klartext]
  const recording: ChildProcess = spawn('setpriv', [...words, 'record', '-o', archive], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  recording.stderr?.on('data', (data) => {
    said += data
  })
  const ended = once(recording, 'close')
  for (let i = 0; !said.includes('recording to') && recording.exitCode === null; i++) {
    assert.ok(i < 600, said)
    await sleep(50)
  }
  await sleep(500)
  for (let i = 0; i < REQUESTS && recording.exitCode === null; i++) {
    await run('setpriv', [...NOBODY, 'curl', '-sk', `https://127.0.0.1:${port}/powers/${i}`])
  }
  await sleep(300)
  recording.kill('SIGTERM')
  const [code] = await ended
  if (code !== 0 && code !== 3) return []
  const { stdout } = await run(process.execPath, [klartext, 'read', archive, '--format', 'jsonl'], {
    maxBuffer: 1 << 26,
  })
  const flows = stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Flow)
  return flows.filter(({ resource }) => resource?.startsWith('/powers/'))
}

test('TLS of others is captured with the powers of the manifest, and not with one less', {
  skip: NO_CAPTURE,
}, async (t) => {
  await withCertificate(async (folder) => {
    chmodSync(folder, 0o755)
    chmodSync(join(folder, 'key.pem'), 0o644)
    writeFileSync(join(folder, 'server.mjs'), SERVER)
    const port = await freePort()
    mkdirSync(join(folder, 'own'))
    const words = [
      '-m',
      '--propagation',
      'private',
      'sh',
      '-c',
      CONTAINED,
      'sh',
      folder,
      process.execPath,
      String(port),
    ]
    const server = spawn('unshare', words, { stdio: 'ignore' })
    try {
      await run('curl', [
        '-sk',
        '--retry',
        '30',
        '--retry-connrefused',
        '--retry-delay',
        '1',
        `https://127.0.0.1:${port}/`,
      ])
      const powers = manifestPowers()
      const flows = await recorded(folder, port, powers)
      for (const side of ['client', 'server']) {
        assert.equal(flows.filter(({ capture_side }) => capture_side === side).length, REQUESTS, side)
      }
      for (const power of powers) {
        const fewer = await recorded(
          folder,
          port,
          powers.filter((each) => each !== power),
        )
        assert.ok(fewer.length < 2 * REQUESTS, `${power} is not needed`)
        t.diagnostic(`without ${power}: ${fewer.length} of ${2 * REQUESTS} flows`)
      }
    } finally {
      server.kill('SIGTERM')
    }
  })
})
