import { closeSync, constants, fchmodSync, fstatSync, ftruncateSync, openSync } from 'node:fs'
import { KlartextError } from '../../core/errors.js'

/**
 * Opens a file to write plaintext to: only its owner may read it, also where it was there with other rights. What was in it is
 * gone. Pipes and devices stay as they are. Throws `UNWRITABLE`.
 */
export function openPrivateFile(path: string): number {
  let file = -1
  try {
    file = openSync(path, constants.O_WRONLY | constants.O_CREAT, 0o600)
    if (fstatSync(file).isFile()) {
      fchmodSync(file, 0o600)
      ftruncateSync(file)
    }
    return file
  } catch (error) {
    if (file >= 0) closeSync(file)
    throw new KlartextError('UNWRITABLE', `${path}: ${(error as Error).message}`)
  }
}
