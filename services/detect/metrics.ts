/** What the detections count since they started, and how Prometheus sees it. Rules are a closed set: they may be labels. */
import { counter, Histogram, type MetricFamily } from '../core/telemetry/metrics.js'

export class DetectMetrics {
  readonly runs = new Map<string, number>()
  readonly findings = new Map<string, number>()
  failures = 0
  readonly runSeconds = new Histogram([0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120])

  ran(rule: string, findings: number, seconds: number): void {
    this.runs.set(rule, (this.runs.get(rule) ?? 0) + 1)
    this.findings.set(rule, (this.findings.get(rule) ?? 0) + findings)
    this.runSeconds.observe(seconds)
  }
}

const byRule = (counts: ReadonlyMap<string, number>) => [...counts].map(([rule, count]) => [{ rule }, count] as const)

export function detectMetrics(metrics: DetectMetrics, told: number): MetricFamily[] {
  return [
    counter('klartext_detect_runs_total', 'Runs of a rule that went well.', byRule(metrics.runs)),
    counter('klartext_detect_findings_total', 'New findings.', byRule(metrics.findings)),
    counter('klartext_detect_told_findings_total', 'Findings sent to klartext.findings.ocsf.', told),
    counter('klartext_detect_failures_total', 'Runs that failed; each is tried again.', metrics.failures),
    metrics.runSeconds.family('klartext_detect_run_seconds', 'Time of one run, with the slots it made good.'),
  ]
}
