import type { CaptureStats, Count } from '../../native/index.js'
import { NO_LOSS } from './coverage.js'

/** What a capturer lost, one line per reason: in the kernel and its queue, before Kafka, and at its end. */
export function captureLosses(
  stats: CaptureStats | null,
  shed: Readonly<Record<string, Count>>,
  unsentBytes: number,
): string[] {
  const lines: string[] = []
  for (const [reason, { count, bytes }] of Object.entries({ ...stats?.lost, ...shed })) {
    if (count > 0 && !NO_LOSS.has(reason)) lines.push(`${reason}: ${count} segments, ${bytes} bytes`)
  }
  if (unsentBytes > 0) lines.push(`not_sent: ${unsentBytes} bytes of messages that Kafka did not take in time`)
  return lines
}
