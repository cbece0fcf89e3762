/** Small programs in C that tests and benches run: compiled once, and again when a source beside them has changed. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { REPO_ROOT } from '../services/core/repo_root.js'

/**
 * `source` is the path of the .c file in the repository, `libraries` stand in for the system's OpenSSL. Answers the path of
 * the program; throws where gcc fails.
 */
export function nativeProgram(source: string, libraries: readonly string[] = ['-lssl', '-lcrypto']): string {
  const variant = libraries[0].startsWith('/') ? `.${basename(libraries[0])}` : ''
  const target = join(REPO_ROOT, 'dist', source.replace(/\.c$/, '') + variant)
  const folder = dirname(join(REPO_ROOT, source))
  const headers = readdirSync(folder).filter((name) => name.endsWith('.h'))
  const made = existsSync(target) ? statSync(target).mtimeMs : 0
  const changed = [join(REPO_ROOT, source), ...headers.map((name) => join(folder, name))]
  if (changed.some((file) => statSync(file).mtimeMs > made)) {
    mkdirSync(dirname(target), { recursive: true })
    const paths = libraries.filter((name) => name.startsWith('/')).map((name) => `-Wl,-rpath,${dirname(name)}`)
    const flags = ['-O1', '-g', '-Wall', '-Wextra', '-Werror', '-pthread']
    execFileSync('gcc', [...flags, '-o', target, join(REPO_ROOT, source), ...libraries, ...paths], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
  }
  return target
}
