/**
 * A real Apache Kafka for one test or bench: one node in KRaft mode on free ports, its log in a temporary folder, gone with
 * the process that started it however that ends. Four listeners: plain, SASL (PLAIN and SCRAM), TLS, and both of these.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import { SmallDisk } from '../fakes/small_disk.js'
import { kafkaLibraries } from './libraries.js'
import { type KafkaPorts, serverProperties } from './server_properties.js'

const START_MS_MAX = 60_000
const STOP_MS_MAX = 20_000
const ERROR_LINES_MAX = 200
export const KAFKA_USER = 'klartext'
export const KAFKA_PASSWORD = 'klartext-secret'

export interface KafkaOptions {
  /** For benches: the compiler that is slow to start and fast later. */
  readonly optimise?: boolean
  /** Port that clients are told to come to, if not the plain listener's own: a proxy's. */
  readonly advertisedPort?: number
  /** Lines of server.properties that win over those of server_properties.ts. */
  readonly properties?: Readonly<Record<string, string>>
  /** Its log lies on a disk of this size that can be filled. */
  readonly diskMib?: number
}

export interface TestKafka {
  /** `127.0.0.1:port`, plain. */
  readonly brokers: readonly string[]
  /** SASL_PLAINTEXT: PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 with KAFKA_USER and KAFKA_PASSWORD. */
  readonly saslBrokers: readonly string[]
  /** TLS; `ca` is the certificate to trust. */
  readonly tlsBrokers: readonly string[]
  /** SASL within TLS. */
  readonly saslTlsBrokers: readonly string[]
  readonly ca: string
  /** With `diskMib`. */
  readonly disk: SmallDisk | null
  /** False once it has ended, by itself or not. */
  readonly runs: boolean
  /** Stops it in order and removes everything. */
  stop(): Promise<void>
  /** Stops it in order if it runs, starts it again: same ports, same log. */
  restart(): Promise<void>
  /** kill -9; `restart` brings it back. */
  kill(): Promise<void>
}

export async function startKafka(options: KafkaOptions = {}): Promise<TestKafka> {
  const libraries = await kafkaLibraries()
  const folder = mkdtempSync(join(tmpdir(), 'klartext-kafka-'))
  const server = new KafkaServer(libraries, folder, await freePorts(), options)
  try {
    await server.format()
    await server.start()
  } catch (error) {
    await server.stop()
    throw error
  }
  return server
}

class KafkaServer implements TestKafka {
  readonly brokers: readonly string[]
  readonly saslBrokers: readonly string[]
  readonly tlsBrokers: readonly string[]
  readonly saslTlsBrokers: readonly string[]
  ca = ''
  disk: SmallDisk | null = null
  readonly #libraries: string
  readonly #folder: string
  readonly #ports: KafkaPorts
  readonly #options: KafkaOptions
  #child: ChildProcess | null = null
  #errors: string[] = []
  readonly #onExit = () => this.#discard()

  constructor(libraries: string, folder: string, ports: KafkaPorts, options: KafkaOptions) {
    this.#libraries = libraries
    this.#folder = folder
    this.#ports = ports
    this.#options = options
    this.brokers = [`127.0.0.1:${ports.plain}`]
    this.saslBrokers = [`127.0.0.1:${ports.sasl}`]
    this.tlsBrokers = [`127.0.0.1:${ports.tls}`]
    this.saslTlsBrokers = [`127.0.0.1:${ports.saslTls}`]
    process.on('exit', this.#onExit)
  }

  async format(): Promise<void> {
    const key = join(this.#folder, 'key.pem')
    const certificate = join(this.#folder, 'certificate.pem')
    const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1']
    const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...subject]
    await promisify(execFile)('openssl', [...request, '-keyout', key, '-out', certificate])
    this.ca = readFileSync(certificate, 'utf8')
    const keystore = join(this.#folder, 'keystore.pem')
    writeFileSync(keystore, readFileSync(key, 'utf8') + this.ca)
    const users = { user: KAFKA_USER, password: KAFKA_PASSWORD }
    const properties = {
      ...serverProperties({
        folder: this.#folder,
        ports: this.#ports,
        advertisedPort: this.#options.advertisedPort ?? this.#ports.plain,
        keystore,
        ...users,
      }),
      ...this.#options.properties,
    }
    const lines = Object.entries(properties).map(([name, value]) => `${name}=${value}\n`)
    writeFileSync(this.#configuration, lines.join(''))
    const scram = ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) => [
      '--add-scram',
      `${mechanism}=[name=${KAFKA_USER},password=${KAFKA_PASSWORD}]`,
    ])
    const id = 'a2xhcnRleHQtdGVzdC1rYQ'
    const words = ['kafka.tools.StorageTool', 'format', '-t', id, '-c', this.#configuration, '--standalone', ...scram]
    if (this.#options.diskMib !== undefined) {
      const log = join(this.#folder, 'log')
      mkdirSync(log)
      this.disk = await SmallDisk.mount(log, this.#options.diskMib)
    }
    const [program, ...before] = [...(this.disk?.enter ?? []), 'java']
    await promisify(execFile)(program, [...before, ...this.#javaWords(), ...words])
  }

  get #configuration(): string {
    return join(this.#folder, 'server.properties')
  }

  #javaWords(): string[] {
    const compiler = this.#options.optimise === true ? [] : ['-XX:TieredStopAtLevel=1']
    const log = `-Dlog4j2.configurationFile=${join(REPO_ROOT, 'test/kafka/log4j2.properties')}`
    return ['-Xmx512m', '-XX:+UseSerialGC', ...compiler, log, '-cp', join(this.#libraries, '*')]
  }

  async start(): Promise<void> {
    // The kernel kills it when this process dies, even by kill -9.
    const java = [...(this.disk?.enter ?? []), 'java', ...this.#javaWords()]
    const words = ['--pdeathsig', 'KILL', ...java, 'kafka.Kafka', this.#configuration]
    const child = spawn('setpriv', words, { stdio: ['ignore', 'ignore', 'pipe'] })
    this.#child = child
    this.#errors = []
    child.stderr.on('data', (data: Buffer) => {
      this.#errors.push(...data.toString().split('\n').filter(Boolean))
      this.#errors.splice(0, this.#errors.length - ERROR_LINES_MAX)
    })
    let failed: Error | null = null
    child.once('error', (error) => (failed = error))
    child.once('exit', () => {
      if (this.#child === child) this.#child = null
    })
    const until = Date.now() + START_MS_MAX
    while (!(await answers(this.#ports.plain))) {
      if (failed !== null) throw failed
      if (this.#child !== child) throw new Error(`Kafka ended at its start: ${this.#lastError()}`)
      if (Date.now() > until) throw new Error(`Kafka did not start within ${START_MS_MAX} ms: ${this.#lastError()}`)
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }

  #lastError(): string {
    return this.#errors.find((line) => /^(ERROR|FATAL)/.test(line)) ?? this.#errors.at(-1) ?? 'it said nothing'
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#child
    if (child === null) return
    const exit = once(child, 'exit')
    child.kill(signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX)
    await exit
    clearTimeout(timer)
    this.#child = null
  }

  get runs(): boolean {
    return this.#child !== null
  }

  kill(): Promise<void> {
    return this.#end('SIGKILL')
  }

  async restart(): Promise<void> {
    await this.#end('SIGTERM')
    await this.start()
  }

  async stop(): Promise<void> {
    // Nothing of its log is needed any more.
    await this.#end('SIGKILL')
    this.#discard()
    process.removeListener('exit', this.#onExit)
  }

  #discard(): void {
    this.#child?.kill('SIGKILL')
    this.disk?.close()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** Whether the broker answers an ApiVersions request: the port is open some time before it does. */
async function answers(port: number): Promise<boolean> {
  const { connect } = await import('node:net')
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    const end = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    // Length 10, API key 18, version 0, correlation id 1, no client id.
    socket.once('connect', () => socket.write(Buffer.from([0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 255, 255])))
    socket.once('data', () => end(true))
    socket.once('error', () => end(false))
    socket.once('close', () => end(false))
    socket.setTimeout(1_000, () => end(false))
  })
}

async function freePorts(): Promise<KafkaPorts> {
  const servers = await Promise.all(
    [0, 1, 2, 3, 4].map(async () => {
      const server = createServer().listen(0, '127.0.0.1')
      await once(server, 'listening')
      return server
    }),
  )
  const [plain, sasl, tls, saslTls, controller] = servers.map((server) => (server.address() as { port: number }).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return { plain, sasl, tls, saslTls, controller }
}
