/** A real redis-server for one test, on loopback and a free port, with nothing on disk. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../services/cli/demo/free_port.js'

const PROGRAM = '/usr/bin/redis-server'
const READY_MS = 10_000

export const whyNoRedis: string | false = existsSync(PROGRAM) ? false : 'redis-server is not installed'

export class RedisServer {
  readonly port: number
  readonly #words: readonly string[]
  #process: ChildProcess | null = null

  private constructor(port: number, words: readonly string[]) {
    this.port = port
    this.#words = words
  }

  /** `words`: more of its command line. */
  static async start(words: readonly string[] = []): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), words)
    await server.run()
    return server
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  /** Starts it, again after `kill`, on the same port and empty. */
  async run(): Promise<void> {
    const words = ['--port', String(this.port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
    words.push(...this.#words)
    this.#process = spawn(PROGRAM, words, { stdio: 'ignore', cwd: tmpdir() })
    const until = Date.now() + READY_MS
    while (!(await answers(this.port))) {
      if (Date.now() > until) throw new Error('redis-server does not start')
      await sleep(50)
    }
  }

  async kill(): Promise<void> {
    const server = this.#process
    if (server === null) return
    this.#process = null
    const ended = new Promise((resolve) => server.once('exit', resolve))
    server.kill('SIGKILL')
    await ended
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: '127.0.0.1', port }, () => socket.write('PING\r\n'))
    socket.once('data', (data) => {
      socket.destroy()
      // One with a password answers too.
      resolve(/^(\+PONG|-NOAUTH)/.test(data.toString()))
    })
    socket.once('error', () => resolve(false))
  })
}
