import { within } from '../system/within.js'

/** A Redis that is away does not answer, and nobody who ends waits for it: whoever comes next finds what was in work here. */
const CLOSE_MS_MAX = 5_000

/** What fails, or takes longer, is let go. */
export async function inTime(call: () => Promise<void>): Promise<void> {
  await within(CLOSE_MS_MAX, call(), () => new Error('too late')).catch(() => {})
}
