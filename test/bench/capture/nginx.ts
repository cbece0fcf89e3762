/** The server that is measured: one nginx worker, TLS with keep-alive, answers of 200 bytes, on a free loopback port. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../../services/cli/demo/free_port.js'

export class Nginx {
  readonly folder = mkdtempSync(join(tmpdir(), 'klartext-bench-'))
  port = 0
  /** The one worker's. */
  pid = 0
  #master: ChildProcess | null = null

  async start(): Promise<void> {
    const { folder } = this
    const files = ['-keyout', `${folder}/key.pem`, '-out', `${folder}/cert.pem`, '-subj', '/CN=localhost']
    execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', ...files], {
      stdio: 'ignore',
    })
    mkdirSync(join(folder, 'tmp'))
    this.port = await freePort()
    const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
      .map((name) => `${name}_temp_path ${folder}/tmp/${name};`)
      .join(' ')
    writeFileSync(
      join(folder, 'nginx.conf'),
      `worker_processes 1; daemon off; ${process.getuid?.() === 0 ? 'user root;' : ''} pid ${folder}/nginx.pid;
       error_log ${folder}/error.log; events {} http { access_log off; keepalive_requests 100000000; ${paths}
       server { listen 127.0.0.1:${this.port} ssl; ssl_certificate ${folder}/cert.pem; ssl_certificate_key ${folder}/key.pem;
       location / { return 200 "${'x'.repeat(200)}"; } } }`,
    )
    const words = ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')]
    this.#master = spawn('nginx', words, { stdio: 'ignore' })
    for (let tries = 0; this.pid === 0; tries++) {
      if (tries === 100) throw new Error(`nginx did not start: ${readFileSync(join(folder, 'error.log'), 'utf8')}`)
      await sleep(50)
      const children = readFileSync(`/proc/${this.#master.pid}/task/${this.#master.pid}/children`, 'utf8')
      this.pid = Number(children.trim().split(' ')[0])
    }
  }

  stop(): void {
    this.#master?.kill('SIGTERM')
    rmSync(this.folder, { recursive: true, force: true })
  }
}
