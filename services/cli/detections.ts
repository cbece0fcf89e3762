/** The detections of `klartext up`: every rule over the embedded store, in this process. */
import { TimerScheduler } from '../adapters/memory/timer_scheduler.js'
import { SYSTEM_CLOCK } from '../adapters/system/clock.js'
import type { Store } from '../core/ports/store.js'
import { Detector } from '../detect/detector.js'
import { DetectEngine } from '../detect/engine.js'
import { DetectMetrics } from '../detect/metrics.js'
import { readRules } from '../detect/rules.js'

/** Findings go to klartext.findings and, a line each, to `say`. Answers how to end it. */
export async function startDetections(store: Store, say: (line: string) => void): Promise<() => Promise<void>> {
  const onFailure = (rule: string, error: unknown) => say(`rule ${rule}: ${(error as Error).message}`)
  const scheduler = new TimerScheduler(onFailure)
  const detector = new Detector({
    engine: new DetectEngine({ store, rules: readRules(), nowUs: () => SYSTEM_CLOCK.nowUs() }),
    scheduler,
    metrics: new DetectMetrics(),
    clock: SYSTEM_CLOCK,
    onFailure,
    onFindings: (findings) => {
      for (const { severity, rule, summary } of findings) say(`finding  ${severity}  ${rule}: ${summary}`)
    },
  })
  await detector.start()
  return () => scheduler.close()
}
