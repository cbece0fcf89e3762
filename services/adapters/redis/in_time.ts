/** A Redis that is away does not answer, and nobody who ends waits for it: whoever comes next finds what was in work here. */
const CLOSE_MS_MAX = 5_000

/** What fails, or takes longer, is let go. */
export async function inTime(call: () => Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, CLOSE_MS_MAX)
  })
  await Promise.race([call().catch(() => {}), late]).finally(() => clearTimeout(timer))
}
