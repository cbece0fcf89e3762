/** Small real HTTPS services that call each other: nginx (shared libssl), a Node service (OpenSSL inside), curl, Python. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { KlartextError } from '../../core/errors.js'
import { freePort } from './free_port.js'

const ORDERS_SERVICE = `
import https from 'node:https'
import { readFileSync } from 'node:fs'
const [port, gateway, folder] = process.argv.slice(2)
const tls = { key: readFileSync(folder + '/key.pem'), cert: readFileSync(folder + '/cert.pem') }
const agent = new https.Agent({ keepAlive: true, ca: tls.cert, servername: 'localhost' })
const stock = (id) => new Promise((resolve, reject) => {
  https.get({ host: '127.0.0.1', port: gateway, path: '/stock/' + id, agent }, (response) => {
    response.resume().on('end', () => resolve(response.statusCode))
  }).on('error', reject)
})
https.createServer(tls, async (request, response) => {
  const id = request.url.split('/')[2]?.split('?')[0]
  if (request.url.startsWith('/report')) await new Promise((done) => setTimeout(done, 120))
  if (request.url.startsWith('/crash')) { response.statusCode = 500; return response.end('out of order') }
  if (request.url.startsWith('/orders/')) response.setHeader('x-stock', await stock(id))
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ order: id, customer: 'secret customer' }))
}).listen(port, '127.0.0.1')
`

const PYTHON_CLIENT = `
import sys, requests
session = requests.Session()
session.trust_env = False
session.verify = sys.argv[2]
for number in range(int(sys.argv[3])):
    for path in ('/shop/orders/%d?token=s3cret' % (1000 + number), '/stock/%d' % number, '/shop/crash' if number % 5 == 4 else '/shop/report/daily'):
        session.get('https://localhost:%s%s' % (sys.argv[1], path))
`

/** The one whose modules come with Debian packages, where another stands before it in PATH. */
const PYTHON = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3'

export class DemoServices {
  readonly folder = mkdtempSync(join(tmpdir(), 'klartext-demo-'))
  readonly #children: ChildProcess[] = []
  #gatewayPort = 0
  #ordersPort = 0

  /** Of the servers. */
  get ports(): readonly number[] {
    return [this.#gatewayPort, this.#ordersPort]
  }

  /** Throws KlartextError where a program is missing. */
  async start(): Promise<void> {
    const { folder } = this
    const certificate = ['-keyout', `${folder}/key.pem`, '-out', `${folder}/cert.pem`, '-subj', '/CN=localhost']
    const names = ['-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
    this.#call('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', ...certificate, ...names])
    this.#gatewayPort = await freePort()
    this.#ordersPort = await freePort()
    writeFileSync(join(folder, 'orders.mjs'), ORDERS_SERVICE)
    writeFileSync(join(folder, 'client.py'), PYTHON_CLIENT)
    mkdirSync(join(folder, 'tmp'))
    writeFileSync(join(folder, 'nginx.conf'), nginxConf(folder, this.#gatewayPort, this.#ordersPort))
    this.#spawn('nginx', ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')])
    this.#spawn(process.execPath, [
      join(folder, 'orders.mjs'),
      String(this.#ordersPort),
      String(this.#gatewayPort),
      folder,
    ])
    await this.#untilServing()
  }

  /** Traffic for some seconds: curl one by one, Python over a kept connection. */
  async drive(): Promise<void> {
    const { folder } = this
    const python = this.#spawn(PYTHON, [
      join(folder, 'client.py'),
      String(this.#gatewayPort),
      `${folder}/cert.pem`,
      '10',
    ])
    for (let number = 0; number < 12; number++) {
      const path = number % 4 === 3 ? `/missing/${number}` : `/shop/orders/${number}?token=s3cret`
      await this.#curl(path)
    }
    await Promise.race([new Promise((resolve) => python.once('exit', resolve)), sleep(15_000)])
  }

  stop(): void {
    for (const child of this.#children) if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
    rmSync(this.folder, { recursive: true, force: true })
  }

  #curl(path: string): Promise<void> {
    const url = `https://localhost:${this.#gatewayPort}${path}`
    const child = this.#spawn('curl', ['-s', '-m', '5', '--cacert', `${this.folder}/cert.pem`, '-o', '/dev/null', url])
    return new Promise((resolve) => child.once('exit', () => resolve()))
  }

  async #untilServing(): Promise<void> {
    for (let tries = 0; tries < 100; tries++) {
      try {
        execFileSync(
          'curl',
          [
            '-sf',
            '-m',
            '2',
            '--cacert',
            `${this.folder}/cert.pem`,
            `https://localhost:${this.#gatewayPort}/shop/orders/0`,
          ],
          { stdio: 'ignore' },
        )
        return
      } catch {
        await sleep(50)
      }
    }
    throw new KlartextError('DEMO_FAILED', `the demo services did not come up; see ${this.folder}`)
  }

  #spawn(command: string, words: string[]): ChildProcess {
    const child = spawn(command, words, { stdio: 'ignore' })
    child.on('error', () => {})
    this.#children.push(child)
    return child
  }

  #call(command: string, words: string[]): void {
    try {
      execFileSync(command, words, { stdio: 'ignore' })
    } catch (error) {
      throw new KlartextError('DEMO_FAILED', `the demo needs ${command}: ${(error as Error).message.split('\n')[0]}`)
    }
  }
}

function nginxConf(folder: string, port: number, ordersPort: number): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/tmp/${name};`,
  )
  return `
worker_processes 1; daemon off; pid ${folder}/nginx.pid; error_log ${folder}/error.log;
${process.getuid?.() === 0 ? 'user root;' : ''}
events { worker_connections 128; }
http {
  access_log off; ${temporary.join(' ')}
  upstream orders { server 127.0.0.1:${ordersPort}; keepalive 4; }
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${folder}/cert.pem; ssl_certificate_key ${folder}/key.pem;
    location /stock/ { default_type application/json; return 200 '{"left":7}'; }
    location /shop/ { proxy_pass https://orders/; proxy_http_version 1.1; proxy_set_header Connection ""; }
    location / { return 404; }
  }
}
`
}
