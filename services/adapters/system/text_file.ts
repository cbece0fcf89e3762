import { readFileSync } from 'node:fs'
import { KlartextError } from '../../core/errors.js'

/** A small file as text. Throws `BAD_FILE`, which names it, behind `before`. */
export function readTextFile(path: string, before = ''): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new KlartextError('BAD_FILE', `${before}${(error as Error).message}`)
  }
}
