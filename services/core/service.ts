/** What a service is: its configuration, and how it is opened. The command line and the operations server take it from here. */
import type { ConfigOf, ConfigSpec } from './config/key.js'
import type { CommonSections } from './config/shared.js'
import type { Clock } from './ports/clock.js'
import type { Health } from './telemetry/health.js'
import type { Log } from './telemetry/log.js'
import type { MetricFamily } from './telemetry/metrics.js'

export interface ServiceContext {
  readonly log: Log
  readonly health: Health
  readonly clock: Clock
  /** Set when the service is told to end. */
  readonly stopping: AbortSignal
  /**
   * Tries until it works: what is away is said in the log and at /readyz and tried again, what else is wrong is thrown.
   * `what` names the other side: `kafka`, `store`.
   */
  waitFor<T>(what: string, call: () => Promise<T>): Promise<T>
}

export interface RunningService {
  /** Until `stop`; rejects with what ends the service. */
  run(): Promise<void>
  /** Asks for an end in good order: what was taken in is handed on, where that can be done; `run` then resolves. */
  stop(): Promise<void>
  /** Behind both: lets go of what is outside. */
  close?(): Promise<void>
  metrics(): MetricFamily[]
  /** Details for a person, as JSON at /status: here ids may stand that no label may have. */
  status?(): unknown
  /** What was lost, one line each: then the exit code says so. */
  losses?(): string[]
}

export interface ServiceDefinition<S extends ConfigSpec & CommonSections> {
  readonly name: string
  /** One line. */
  readonly summary: string
  readonly config: S
  /** What single keys cannot say. Throws KlartextError; reaches nothing but files. */
  check?(config: ConfigOf<S>): void
  open(config: ConfigOf<S>, context: ServiceContext): Promise<RunningService>
}
