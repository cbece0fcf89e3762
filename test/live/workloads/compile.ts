/** The workload programs in C, compiled once and again when their source has changed. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { REPO_ROOT } from '../../../services/core/repo_root.js'

const SOURCES = join(REPO_ROOT, 'test/live/workloads')
const BUILD = join(REPO_ROOT, 'dist/test/live/workloads')

/** Path of the program made from NAME.c. */
export function program(name: string): string {
  const target = join(BUILD, name)
  const sources = [join(SOURCES, `${name}.c`), join(SOURCES, 'shapes.h')]
  const made = existsSync(target) ? statSync(target).mtimeMs : 0
  if (sources.some((source) => statSync(source).mtimeMs > made)) {
    mkdirSync(BUILD, { recursive: true })
    const flags = ['-O1', '-g', '-Wall', '-Wextra', '-Werror', '-pthread']
    execFileSync('gcc', [...flags, '-o', target, sources[0], '-lssl', '-lcrypto'], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
  }
  return target
}
