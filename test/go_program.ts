/** Programs in Go that the set-up builds for tests (services/cli/setup/setup.mjs). */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { REPO_ROOT } from '../services/core/repo_root.js'

/** Where the program of `folder` lies: another place for other sources. */
export function goProgramPath(folder: string, binary: string): string {
  const hash = createHash('sha256')
  for (const file of ['main.go', 'go.mod', 'go.sum']) hash.update(readFileSync(join(REPO_ROOT, folder, file)))
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache')
  return join(cache, 'klartext', `${binary}-${hash.digest('hex').slice(0, 16)}`)
}
