import { readFileSync } from 'node:fs'
import { KlartextError } from '../../core/errors.js'

/** A small file as text. Throws `BAD_FILE`, which names it. */
export function readTextFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new KlartextError('BAD_FILE', (error as Error).message)
  }
}
