/** Is there a Redis? BullMQ would wait for one for ever; where a command or service starts that is an error. */
import { Redis } from 'ioredis'
import { KlartextError } from '../../core/errors.js'

export const CONNECT_MS = 5000

/** Throws KlartextError `REDIS_UNREACHABLE`. */
export async function mustAnswer(url: string): Promise<void> {
  const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null, connectTimeout: CONNECT_MS })
  let failure = ''
  client.on('error', (error: Error) => {
    failure = error.message
  })
  try {
    await client.connect()
    await client.ping()
  } catch (error) {
    throw unreachable(url, failure || (error as Error).message, error)
  } finally {
    client.disconnect()
  }
}

export function unreachable(url: string, why: string, cause?: unknown): KlartextError {
  const { host } = new URL(url)
  return new KlartextError('REDIS_UNREACHABLE', `${host}: ${why}`, { retryable: true, cause })
}
