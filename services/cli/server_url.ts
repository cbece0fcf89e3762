/** Addresses of servers in the environment; what is empty counts as not set. */
import { UsageError } from '../core/errors.js'

const SERVERS = {
  CLICKHOUSE_URL: { schemes: ['http:', 'https:'], example: 'http://user:password@host:8123' },
  REDIS_URL: { schemes: ['redis:', 'rediss:'], example: 'redis://user:password@host:6379/0' },
} as const

/** Null where it is not set. Throws UsageError, which does not repeat what may hold a password. */
export function serverUrl(name: keyof typeof SERVERS): string | null {
  const url = process.env[name] ?? ''
  if (url === '') return null
  const { schemes, example } = SERVERS[name]
  if (!URL.canParse(url) || !(schemes as readonly string[]).includes(new URL(url).protocol)) {
    throw new UsageError(`${name} takes an address such as ${example}`)
  }
  return url
}
