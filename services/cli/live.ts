/** Commands that look at this host: they capture until they are stopped, and say what they lost. */
import { captureLosses } from '../capture/losses.js'
import type { NativeSource } from '../capture/native_source.js'
import { EXIT } from '../core/errors.js'

/**
 * Hands over each of `batches`, which come of `source`, until `stopped` and all that was captured before is through. However
 * it ends the source is stopped: as long as it captures the process does not end.
 */
export async function takeUntil<T>(
  stopped: Promise<void>,
  source: NativeSource,
  batches: AsyncIterable<T>,
  take: (batch: T) => void | Promise<void>,
): Promise<void> {
  const taking = (async () => {
    for await (const batch of batches) await take(batch)
  })()
  try {
    await Promise.race([stopped, taking])
  } finally {
    await source.stop()
  }
  await taking
}

/** Says on standard error what was lost, a line for each reason; answers the exit code. */
export function sayLosses(source: NativeSource): number {
  const lines = captureLosses(source.stats(), {}, 0)
  for (const line of lines) process.stderr.write(`lost: ${line}\n`)
  return lines.length > 0 ? EXIT.losses : EXIT.done
}
