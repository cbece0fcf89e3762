import { closeSync, openSync, readSync } from 'node:fs'
import { KlartextError } from '../../core/errors.js'

/** Far more than any configuration, certificate or policy; a wrong path may lead to anything, also to what never ends. */
const BYTES_MAX = 1 << 20

/** A small file as text. Throws `BAD_FILE`, which names it, behind `before`. */
export function readTextFile(path: string, before = ''): string {
  const bytes = Buffer.alloc(BYTES_MAX + 1)
  let size = 0
  try {
    const file = openSync(path, 'r')
    try {
      for (let read = -1; read !== 0 && size < bytes.length; size += read) {
        read = readSync(file, bytes, size, bytes.length - size, null)
      }
    } finally {
      closeSync(file)
    }
  } catch (error) {
    throw new KlartextError('BAD_FILE', `${before}${(error as Error).message}`)
  }
  if (size > BYTES_MAX)
    throw new KlartextError('BAD_FILE', `${before}${path}: more than 1 MiB: is this the right file?`)
  return bytes.toString('utf8', 0, size)
}
