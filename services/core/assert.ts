/** Our own mistakes end the process: a wrong row is worse than none. Never used for traffic, however odd. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message)
}

export class AssertionError extends Error {
  override readonly name = 'AssertionError'
}
