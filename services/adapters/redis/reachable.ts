/** Is there a Redis? BullMQ would wait for one for ever; where a command or service starts that is an error. */
import { Redis } from 'ioredis'
import { KlartextError } from '../../core/errors.js'
import { within } from '../system/within.js'

export const CONNECT_MS = 5000

/** Throws KlartextError `REDIS_UNREACHABLE`, also where something listens that says nothing for `answerMs`. */
export async function mustAnswer(url: string, answerMs: number = CONNECT_MS): Promise<void> {
  const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null, connectTimeout: answerMs })
  let failure = ''
  client.on('error', (error: Error) => {
    failure = error.message
  })
  const asked = client.connect().then(() => client.ping())
  try {
    await within(answerMs, asked, () => new Error(`no answer within ${answerMs} ms`))
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

/** For who ends: asked briefly. */
export async function isThere(url: string): Promise<boolean> {
  return mustAnswer(url, 1000).then(
    () => true,
    () => false,
  )
}
