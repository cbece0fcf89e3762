/** Runs a service as this process: log, operations server, signals, watchdog, and an end in good order. */
import { once } from 'node:events'
import type { LoadedConfig } from '../../core/config/config.js'
import type { ConfigOf, ConfigSpec } from '../../core/config/key.js'
import type { CommonSections } from '../../core/config/shared.js'
import { EXIT, KlartextError } from '../../core/errors.js'
import type { RunningService, ServiceContext, ServiceDefinition } from '../../core/service.js'
import { Health } from '../../core/telemetry/health.js'
import { Log } from '../../core/telemetry/log.js'
import { counter, gauge, type MetricFamily } from '../../core/telemetry/metrics.js'
import { SYSTEM_CLOCK } from './clock.js'
import { type OperationsServer, serveOperations } from './operations_server.js'
import { ProcessMetrics } from './process_metrics.js'
import { StopSignals } from './stop_signals.js'

const RETRY_MS_MIN = 250
const RETRY_MS_MAX = 5_000
const WATCH_MS = 1_000

type Config<S extends ConfigSpec & CommonSections> = ConfigOf<S> & ConfigOf<CommonSections & ConfigSpec>

/**
 * Answers the exit code. What is wrong before the log is there is thrown, for the command line to say; afterwards it is the
 * log's last line, and the process ends with whatever is still open: nothing may be half alive.
 */
export async function runService<S extends ConfigSpec & CommonSections>(
  definition: ServiceDefinition<S>,
  loaded: LoadedConfig<S>,
): Promise<number> {
  const config = loaded.config as Config<S>
  definition.check?.(config)
  const host = new ServiceHost(definition.name, config)
  try {
    await host.listen(config.operations)
    return await host.run((context) => definition.open(config, context))
  } catch (error) {
    return host.fail(error)
  } finally {
    host.close()
  }
}

class ServiceHost {
  readonly #name: string
  readonly #log: Log
  readonly #health: Health
  readonly #signals: StopSignals
  readonly #process = new ProcessMetrics()
  readonly #stuckMs: number
  #server: OperationsServer | null = null
  #watch: NodeJS.Timeout | null = null
  #running: RunningService | null = null

  constructor(name: string, config: ConfigOf<CommonSections & ConfigSpec>) {
    this.#name = name
    const { format, level } = config.log
    const nowMs = () => Date.now()
    const write = (line: string) => void process.stderr.write(`${line}\n`)
    this.#log = new Log({ service: name, format, level, nowMs, write })
    this.#stuckMs = config.operations.stuckMs
    // A host that was asleep, or whose clock was set, has not been stuck.
    this.#health = new Health(SYSTEM_CLOCK.elapsedMs, this.#stuckMs)
    this.#signals = new StopSignals(() => this.#log.warn('told again to end: ending at once'))
  }

  async listen({ host, port }: { readonly host: string; readonly port: number }): Promise<void> {
    this.#health.set('start', 'not started yet')
    const metrics = () => this.#metrics()
    const status = () => this.#status()
    const onError = (error: Error) => this.#log.failure('accepting a connection of the operations server', error)
    this.#server = await serveOperations({ host, port, health: this.#health, metrics, status, onError })
    this.#log.info('operations server', {
      url: `http://${host.includes(':') ? `[${host}]` : host}:${this.#server.port}`,
    })
  }

  async run(open: (context: ServiceContext) => Promise<RunningService>): Promise<number> {
    const { stopping } = this.#signals
    const context: ServiceContext = {
      log: this.#log,
      health: this.#health,
      clock: SYSTEM_CLOCK,
      stopping,
      waitFor: (what, call) => this.#waitFor(what, call),
    }
    const running = await open(context).catch((error: unknown) => {
      if (stopping.aborted) return null
      throw error
    })
    if (running === null) {
      this.#log.info('ended before it had started')
      return EXIT.failed
    }
    this.#running = running
    this.#health.set('start', null)
    this.#health.beat()
    this.#watch = setInterval(() => this.#watchdog(), WATCH_MS)
    this.#log.info('started')
    const ended = running.run()
    await Promise.race([ended, stopped(stopping)])
    this.#health.stopWatching()
    this.#health.set('end', 'ending')
    if (stopping.aborted) this.#log.info('ending in good order; a second signal ends at once')
    await running.stop()
    await ended
    await running.close?.()
    const losses = running.losses?.() ?? []
    for (const loss of losses) this.#log.warn('lost', { what: loss })
    this.#log.info('ended')
    return losses.length > 0 ? EXIT.losses : EXIT.done
  }

  fail(error: unknown): never {
    const unexpected = !(error instanceof KlartextError) && error instanceof Error
    this.#log.failure('ended by an error', error, unexpected ? { stack: error.stack ?? '' } : {})
    process.exit(EXIT.failed)
  }

  /** A loop that never comes round again is of no use to anybody: whoever started the process starts it anew. */
  #watchdog(): void {
    if (this.#health.silentMs <= 2 * this.#stuckMs) return
    this.#log.failure('ending at once', new KlartextError('STUCK', this.#health.stuck ?? 'no progress'))
    process.exit(EXIT.failed)
  }

  async #waitFor<T>(what: string, call: () => Promise<T>): Promise<T> {
    const { stopping } = this.#signals
    for (let pauseMs = RETRY_MS_MIN; ; pauseMs = Math.min(RETRY_MS_MAX, pauseMs * 2)) {
      try {
        const answer = await call()
        this.#health.set(what, null)
        return answer
      } catch (error) {
        if (!(error instanceof KlartextError) || !error.retryable || stopping.aborted) throw error
        this.#log.failure(`waiting for ${what}`, error)
        this.#health.set(what, error.message)
        this.#health.beat()
        await SYSTEM_CLOCK.sleep(pauseMs, stopping)
      }
    }
  }

  #metrics(): MetricFamily[] {
    const name = this.#name.replaceAll('-', '_')
    const errors = [...this.#log.errors].map(([code, count]) => [{ code }, count] as const)
    return [
      ...(this.#running?.metrics() ?? []),
      counter(`klartext_${name}_errors_total`, 'What went wrong, by code; most of it is tried again.', errors),
      gauge(`klartext_${name}_ready`, '1 where /readyz says ok.', this.#health.notReady === null ? 1 : 0),
      ...this.#process.families(),
    ]
  }

  #status(): unknown {
    const { notReady, stuck } = this.#health
    return { service: this.#name, stuck, notReady, ...(this.#running?.status?.() as object | undefined) }
  }

  close(): void {
    if (this.#watch !== null) clearInterval(this.#watch)
    this.#server?.close()
    this.#signals.close()
  }
}

async function stopped(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort')
}
