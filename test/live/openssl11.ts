/**
 * A libssl of OpenSSL 1.1.1 as distributions built it: bundled in an old wheel of a PostgreSQL driver on PyPI. Kept in the
 * user's cache.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

const WHEEL = 'psycopg2-binary==2.9.5'
const SHA256 = 'bcda1c84a1c533c528356da5490d464a139b6e84eb77cc0b432e38c5c6dd7882'
const PLATFORM = ['--python-version', '3.11', '--platform', 'manylinux2014_x86_64', '--only-binary', ':all:']

export interface Libraries {
  readonly folder: string
  readonly ssl: string
  readonly crypto: string
}

export function openssl11(): Libraries {
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'klartext')
  const folder = join(cache, `openssl-1.1-${SHA256.slice(0, 16)}`)
  if (!existsSync(folder)) fetch(cache, folder)
  const named = (start: string) => join(folder, readdirSync(folder).find((name) => name.startsWith(start)) as string)
  return { folder, ssl: named('libssl-'), crypto: named('libcrypto-') }
}

function fetch(cache: string, folder: string): void {
  mkdirSync(cache, { recursive: true })
  const work = mkdtempSync(join(cache, 'openssl-1.1-'))
  try {
    const python = (...words: string[]) => execFileSync('/usr/bin/python3', ['-m', ...words], { stdio: 'pipe' })
    python('pip', 'download', '-q', '--no-deps', ...PLATFORM, '-d', work, WHEEL)
    const wheel = join(work, readdirSync(work)[0])
    const found = createHash('sha256').update(readFileSync(wheel)).digest('hex')
    if (found !== SHA256) throw new Error(`${WHEEL} is not the file it was: SHA-256 ${found}`)
    python('zipfile', '-e', wheel, work)
    renameSync(join(work, 'psycopg2_binary.libs'), folder)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}
