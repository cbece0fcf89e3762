/** Starts the process that holds the engine, starts it again should it die, and stops it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { setPriority, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { KlartextError } from '../../core/errors.js'
import { isAlive } from '../system/process_mark.js'
import { type EngineStart, type FromEngine, type Listen, socketPath, type ToEngine } from './engine/messages.js'

const MAIN = fileURLToPath(new URL('./engine/main.js', import.meta.url))
/** Of the pool that runs statements; engine/engine.ts says why. */
const THREADS = 48
/** Below the applications of the host. */
const NICE = 5
const START_MS_MAX = 60_000
const CLOSE_MS_MAX = 15_000
/** An engine that was left behind by a killed process goes by itself within milliseconds. */
const LEFT_BEHIND_MS_MAX = 10_000
const RESTART_MS = 1_000

interface Waiting {
  resolve(port: number): void
  reject(error: KlartextError): void
}

export class EngineProcess {
  readonly runDir: string
  readonly #dataDir: string
  readonly #endpoints = new Map<number, Listen>()
  readonly #waiting = new Map<number, Waiting>()
  #child: ChildProcess | null = null
  #closing = false
  #endpointCount = 0
  /** How often the engine died and was started again. */
  restarts = 0

  private constructor(dataDir: string) {
    this.#dataDir = dataDir
    // Not in the data folder: a socket's path may have 107 bytes only.
    this.runDir = mkdtempSync(join(tmpdir(), 'klartext-'))
  }

  static async start(dataDir: string): Promise<EngineProcess> {
    await waitForLeftBehind(dataDir)
    const engine = new EngineProcess(dataDir)
    try {
      await engine.#spawn()
      return engine
    } catch (error) {
      rmSync(engine.runDir, { recursive: true, force: true })
      throw error
    }
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  async #spawn(): Promise<void> {
    const start: EngineStart = { dataDir: this.#dataDir, runDir: this.runDir }
    const child = spawn(process.execPath, [MAIN, JSON.stringify(start)], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      env: { ...process.env, UV_THREADPOOL_SIZE: String(THREADS) },
      detached: true,
    })
    this.#child = child
    let lastWords = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      lastWords = (lastWords + text).slice(-2000)
    })
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        child.kill('SIGKILL')
        reject(new KlartextError('STORE_FAILED', `the embedded store did not start within ${START_MS_MAX / 1000} s`))
      }, START_MS_MAX)
      this.#waiting.set(-1, { resolve: () => resolve(), reject })
      child.on('message', (message: FromEngine) => this.#heard(message))
      // Also of what is sent to it while it ends: without a listener that would end this process.
      child.on('error', reject)
      child.once('exit', (code, signal) => {
        clearTimeout(timer)
        const why = lastWords.trim().split('\n').at(-1) || `${signal ?? `code ${code}`}`
        reject(new KlartextError('STORE_FAILED', `the embedded store ended: ${why}`))
        this.#gone(child)
      })
      child.once('message', () => clearTimeout(timer))
    })
    // The pid is only for whoever finds the folder after a kill.
    writeFileSync(enginePidPath(this.#dataDir), String(child.pid), { mode: 0o600 })
    // For other processes of the same user.
    writeFileSync(runDirPath(this.#dataDir), this.runDir, { mode: 0o600 })
    try {
      setPriority(child.pid as number, NICE)
    } catch {
      // Not allowed here: it then runs like everything else.
    }
    child.unref()
    child.channel?.unref()
    ;(child.stderr as unknown as { unref(): void } | null)?.unref()
  }

  #heard(message: FromEngine): void {
    const id = message.op === 'ready' ? -1 : message.id
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (message.op === 'failed') waiting?.reject(new KlartextError(message.code, message.message))
    else waiting?.resolve(message.op === 'listening' ? message.port : 0)
  }

  #gone(child: ChildProcess): void {
    if (this.#child !== child) return
    this.#child = null
    for (const waiting of this.#waiting.values())
      waiting.reject(new KlartextError('STORE_FAILED', 'the embedded store ended'))
    this.#waiting.clear()
    if (this.#closing) return
    this.restarts += 1
    setTimeout(() => void this.#again(), RESTART_MS).unref()
  }

  async #again(): Promise<void> {
    if (this.#closing) return
    try {
      await this.#spawn()
      for (const endpoint of this.#endpoints.values()) this.#ask(endpoint.id, endpoint).catch(() => {})
    } catch {
      // #gone has been called for this one too and tries again.
    }
  }

  #ask(id: number, message: ToEngine): Promise<number> {
    return new Promise((resolve, reject) => {
      const child = this.#child
      if (child === null || !child.connected) {
        reject(new KlartextError('STORE_FAILED', 'the embedded store is not running', { retryable: true }))
        return
      }
      child.channel?.ref()
      const settle =
        <T>(then: (value: T) => void) =>
        (value: T) => {
          child.channel?.unref()
          then(value)
        }
      this.#waiting.set(id, { resolve: settle(resolve), reject: settle(reject) })
      child.send(message)
    })
  }

  async listen(options: Omit<Listen, 'op' | 'id'>): Promise<{ id: number; port: number }> {
    const id = this.#endpointCount++
    const message: Listen = { op: 'listen', id, ...options }
    const port = await this.#ask(id, message)
    this.#endpoints.set(id, { ...message, port })
    return { id, port }
  }

  async unlisten(id: number): Promise<void> {
    this.#endpoints.delete(id)
    await this.#ask(id, { op: 'unlisten', id }).catch(() => {})
  }

  /** Resolves when the process is gone and the store on disk is in order. */
  async close(): Promise<void> {
    this.#closing = true
    const child = this.#child
    if (child !== null && child.exitCode === null) {
      const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
      child.ref()
      const limit = setTimeout(() => child.kill('SIGKILL'), CLOSE_MS_MAX)
      if (child.connected) child.send({ op: 'close' } satisfies ToEngine)
      await gone
      clearTimeout(limit)
    }
    rmSync(this.runDir, { recursive: true, force: true })
    rmSync(enginePidPath(this.#dataDir), { force: true })
    rmSync(runDirPath(this.#dataDir), { force: true })
  }
}

function enginePidPath(dataDir: string): string {
  return join(dataDir, 'engine.pid')
}

function runDirPath(dataDir: string): string {
  return join(dataDir, 'engine.run')
}

/** Socket of the engine that runs on the folder; null where none says so. */
export function runningSocket(dataDir: string): string | null {
  try {
    return socketPath(readFileSync(runDirPath(dataDir), 'utf8').trim())
  } catch {
    return null
  }
}

async function waitForLeftBehind(dataDir: string): Promise<void> {
  let pid: number
  try {
    pid = Number(readFileSync(enginePidPath(dataDir), 'utf8'))
  } catch {
    return
  }
  for (const until = Date.now() + LEFT_BEHIND_MS_MAX; isEngine(pid); ) {
    if (Date.now() > until) {
      throw new KlartextError('STORE_IN_USE', `the store in ${dataDir} is still held by process ${pid}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

function isEngine(pid: number): boolean {
  if (!isAlive(pid)) return false
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('engine/main.js')
  } catch {
    return true
  }
}
