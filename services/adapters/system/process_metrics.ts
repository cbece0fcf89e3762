/** What every process can say of itself, under the names that all of Prometheus' clients use. */
import { performance } from 'node:perf_hooks'
import { counter, gauge, type MetricFamily } from '../../core/telemetry/metrics.js'

export class ProcessMetrics {
  #before = performance.eventLoopUtilization()

  families(): MetricFamily[] {
    const { user, system } = process.cpuUsage()
    const { rss, heapUsed, external } = process.memoryUsage()
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, this.#before)
    this.#before = now
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
      gauge(
        'klartext_process_event_loop_utilization',
        'Share of the time since the last scrape in which the main thread was busy; near 1 it keeps others waiting.',
        utilization,
      ),
    ]
  }
}
