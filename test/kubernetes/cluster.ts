/** A real kube-apiserver for one test file, on loopback; no kubelet, no controllers: a test writes all objects itself. */
import { type ChildProcess, spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import https from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../services/cli/demo/free_port.js'
import { goProgramPath as programPath } from '../go_program.js'

const ADMIN = 'admin-of-a-test'
const READY_MS = 90_000

export function goProgramPath(name: 'apiserver' | 'kubectl'): string {
  return programPath(join('test/kubernetes', name), name === 'apiserver' ? 'kube-apiserver' : name)
}

export function whyNoCluster(): string | false {
  const missing = (['apiserver', 'kubectl'] as const).filter((name) => !existsSync(goProgramPath(name)))
  return missing.length === 0 ? false : `${missing.join(' and ')} not built: that needs Go 1.24 or newer`
}

export class Cluster {
  readonly folder = mkdtempSync(join(tmpdir(), 'klartext-kubernetes-'))
  #port = 0
  #etcdPorts: readonly number[] = []
  #server: ChildProcess | null = null

  static async start(): Promise<Cluster> {
    const cluster = new Cluster()
    cluster.#port = await freePort()
    cluster.#etcdPorts = [await freePort(), await freePort()]
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    cluster.#write('sa.key', privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())
    cluster.#write('sa.pub', publicKey.export({ type: 'spki', format: 'pem' }).toString())
    cluster.#write('tokens.csv', `${ADMIN},admin,1,"system:masters"\n`)
    await cluster.run()
    return cluster
  }

  #write(name: string, text: string): string {
    const path = join(this.folder, name)
    writeFileSync(path, text, { mode: 0o600 })
    return path
  }

  get adminToken(): string {
    return ADMIN
  }

  get url(): string {
    return `https://127.0.0.1:${this.#port}`
  }

  /** Starts the server, again after `kill`, on the same port with the same data. */
  async run(): Promise<void> {
    const [client, peer] = this.#etcdPorts
    const path = (name: string) => join(this.folder, name)
    const words = [
      `--etcd-servers=http://127.0.0.1:${client}`,
      `--secure-port=${this.#port}`,
      '--bind-address=127.0.0.1',
      `--cert-dir=${path('certs')}`,
      `--service-account-key-file=${path('sa.pub')}`,
      `--service-account-signing-key-file=${path('sa.key')}`,
      '--service-account-issuer=https://kubernetes.default.svc',
      `--token-auth-file=${path('tokens.csv')}`,
      '--authorization-mode=RBAC',
      '--service-cluster-ip-range=10.96.0.0/16',
      '--disable-admission-plugins=ServiceAccount',
      '--allow-privileged=true',
    ]
    const log = openSync(path('log'), 'a')
    // It ends with this process, however that ends.
    this.#server = spawn('setpriv', ['--pdeathsig', 'KILL', goProgramPath('apiserver'), ...words], {
      stdio: ['ignore', log, log],
      env: {
        ...process.env,
        ETCD_DIR: path('etcd'),
        ETCD_URL: `http://127.0.0.1:${client}`,
        ETCD_PEER_URL: `http://127.0.0.1:${peer}`,
      },
    })
    const until = Date.now() + READY_MS
    while (!(await this.#ready())) {
      if (Date.now() > until || this.#server.exitCode !== null) {
        throw new Error(`kube-apiserver does not start:\n${readFileSync(path('log'), 'utf8').slice(-2000)}`)
      }
      await sleep(200)
    }
  }

  async #ready(): Promise<boolean> {
    try {
      await this.call('GET', '/readyz')
      return true
    } catch {
      return false
    }
  }

  async kill(): Promise<void> {
    const server = this.#server
    if (server === null) return
    const ended = new Promise((resolve) => server.once('exit', resolve))
    server.kill('SIGKILL')
    await ended
    this.#server = null
  }

  async stop(): Promise<void> {
    await this.kill()
    rmSync(this.folder, { recursive: true, force: true })
  }

  /** One call as administrator; answers the body, throws for a bad status. */
  async call(method: string, path: string, body?: object, type = 'application/json'): Promise<unknown> {
    const text = await new Promise<string>((resolve, reject) => {
      const headers = { authorization: `Bearer ${ADMIN}`, 'content-type': type }
      const request = https.request(
        `${this.url}${path}`,
        { method, headers, rejectUnauthorized: false },
        (response) => {
          let received = ''
          response.on('data', (part) => (received += String(part)))
          response.on('end', () => {
            if ((response.statusCode ?? 500) < 300) resolve(received)
            else reject(new Error(`${method} ${path}: ${response.statusCode} ${received.slice(0, 500)}`))
          })
        },
      )
      request.once('error', reject)
      request.end(body === undefined ? undefined : JSON.stringify(body))
    })
    return text.startsWith('{') ? JSON.parse(text) : {}
  }

  /** A kubeconfig whose user is known by the token in a file, as in a pod. */
  kubeconfig(tokenFile: string): string {
    return this.#write(
      'kubeconfig',
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Config',
        clusters: [{ name: 'c', cluster: { server: this.url, 'insecure-skip-tls-verify': true } }],
        users: [{ name: 'u', user: { 'auth-provider': { name: 'tokenFile', config: { tokenFile } } } }],
        contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
        'current-context': 'x',
      }),
    )
  }

  /** A token of a service account, as the kubelet would mount it. */
  async token(namespace: string, account: string): Promise<string> {
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`
    const answer = await this.call('POST', path, {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: {},
    })
    return (answer as { status: { token: string } }).status.token
  }
}
