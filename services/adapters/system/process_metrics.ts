/** What every process can say of itself, under the names that all of Prometheus' clients use. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { counter, gauge, type MetricFamily } from '../../core/telemetry/metrics.js'

export class ProcessMetrics {
  readonly #delay = monitorEventLoopDelay({ resolution: 20 })

  constructor() {
    this.#delay.enable()
  }

  families(): MetricFamily[] {
    const { user, system } = process.cpuUsage()
    const { rss, heapUsed, external } = process.memoryUsage()
    const delay = this.#delay.percentile(99) / 1e9
    // Of the time since the last look.
    this.#delay.reset()
    return [
      counter('process_cpu_seconds_total', 'CPU time of this process.', (user + system) / 1e6),
      gauge('process_resident_memory_bytes', 'Memory of this process.', rss),
      gauge(
        'process_start_time_seconds',
        'When this process started, Unix time.',
        Date.now() / 1000 - process.uptime(),
      ),
      gauge('klartext_process_heap_used_bytes', 'JavaScript objects.', heapUsed),
      gauge('klartext_process_external_bytes', 'Buffers and other memory beside them.', external),
      gauge('klartext_process_event_loop_delay_seconds', '99th percentile since the last scrape.', delay),
    ]
  }

  close(): void {
    this.#delay.disable()
  }
}
