import { KlartextError } from '../../core/errors.js'

/** ClickHouse codes after which the same call may succeed: timeouts, load, memory, disk, network, too many parts. */
const RETRYABLE = new Set([
  159, 160, 164, 202, 203, 209, 210, 225, 236, 241, 242, 243, 252, 285, 286, 289, 319, 394, 425, 439, 516, 999,
])

/** A full disk may show in whatever the server was just doing, under codes that say nothing else than "failed". */
const DISK_FULL = /no space left on device|not enough space/i

/** What a call through @clickhouse/client failed with, as one line; `where` names the server or folder. */
export function storeError(error: unknown, where: string): KlartextError {
  if (error instanceof KlartextError) return error
  const { message, code } = error as Error & { code?: string }
  if (code !== undefined && /^\d+$/.test(code)) {
    const line = message.split('\n')[0].slice(0, 2000)
    return new KlartextError(`CLICKHOUSE_${code}`, `${where}: code ${code}: ${line}`, {
      retryable: RETRYABLE.has(Number(code)) || DISK_FULL.test(line),
      cause: error,
    })
  }
  // Refused, reset, timed out, ended in the middle: the token of an insert makes trying again harmless.
  return new KlartextError('STORE_UNREACHABLE', `${where}: ${message.split('\n')[0] || code || 'no answer'}`, {
    retryable: true,
    cause: error,
  })
}
