/** A klartext service as a process of its own, as people start it; looked at through its operations server. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { REPO_ROOT } from '../../services/core/repo_root.js'

const WAIT_MS_MAX = 60_000

export interface LogLine {
  readonly level: string
  readonly message: string
  readonly [field: string]: unknown
}

const running = new Set<ChildProcess>()

/** For `after`: a test that failed leaves none behind. */
export function killServices(): void {
  for (const child of running) child.kill('SIGKILL')
}

export class ServiceProcess {
  readonly child: ChildProcess
  readonly lines: LogLine[] = []
  /** What it said that was no line of its log: the one line of an error that ends it. */
  rest = ''
  readonly #ended: Promise<number>

  /** `name`: the command; operations server on a free port, log as JSON. */
  constructor(name: string, environment: Readonly<Record<string, string>>, words: readonly string[] = []) {
    // The kernel kills it when this process dies, even by kill -9.
    const command = ['--pdeathsig', 'KILL', process.execPath, join(REPO_ROOT, 'services/cli/bin/klartext.mjs'), name]
    this.child = spawn('setpriv', [...command, ...words], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: {
        PATH: process.env.PATH,
        KLARTEXT_OPERATIONS_PORT: '0',
        KLARTEXT_LOG_FORMAT: 'json',
        ...environment,
      },
    })
    let text = ''
    this.child.stderr?.on('data', (data) => {
      const parts = `${text}${data}`.split('\n')
      text = parts.pop() ?? ''
      for (const line of parts) this.#line(line)
    })
    running.add(this.child)
    this.#ended = once(this.child, 'close').then(([code]) => {
      running.delete(this.child)
      return code as number
    })
  }

  #line(line: string): void {
    try {
      this.lines.push(JSON.parse(line) as LogLine)
    } catch {
      this.rest += `${line}\n`
    }
  }

  get said(): string {
    return `${this.lines.map((line) => JSON.stringify(line)).join('\n')}\n${this.rest}`
  }

  /** The first log line that fits. */
  async logged(fits: (line: LogLine) => boolean): Promise<LogLine> {
    await until(
      () => this.lines.some(fits),
      () => `it did not say it:\n${this.said}`,
    )
    return this.lines.find(fits) as LogLine
  }

  async url(): Promise<string> {
    return String((await this.logged(({ message }) => message === 'operations server')).url)
  }

  /** Status and body of a path of the operations server. */
  async get(path: string): Promise<{ readonly status: number; readonly text: string }> {
    const answer = await fetch(`${await this.url()}${path}`).catch((error: unknown) => {
      throw new Error(`it does not answer:\n${this.said}`, { cause: error })
    })
    return { status: answer.status, text: await answer.text() }
  }

  async ready(): Promise<this> {
    await until(
      async () => (await this.get('/readyz')).status === 200,
      () => `it is not ready:\n${this.said}`,
    )
    return this
  }

  /** The sum over all labels. */
  async metric(name: string): Promise<number> {
    const { text } = await this.get('/metrics')
    const found = [...text.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, 'gm'))]
    return found.reduce((sum, [, value]) => sum + Number(value), 0)
  }

  /** Sends the signal, if any, and answers the exit code. */
  async end(signal?: NodeJS.Signals): Promise<number> {
    if (signal !== undefined) this.child.kill(signal)
    return this.#ended
  }
}

export async function until(
  condition: () => boolean | Promise<boolean>,
  why: () => string,
  maxMs = WAIT_MS_MAX,
): Promise<void> {
  for (const end = Date.now() + maxMs; !(await condition()); await sleep(50)) {
    if (Date.now() > end) throw new Error(why())
  }
}
