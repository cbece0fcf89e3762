// Makes a fresh clone ready: Debian packages, npm packages, BPF programs, addon, TypeScript. Plain JavaScript with nothing
// but Node, since it runs before anything is installed. Quick when all is there.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../../..')

const BUILD_PACKAGES = ['clang', 'libbpf-dev', 'libzydis-dev', 'libelf-dev', 'zlib1g-dev', 'make', 'g++']
const DEMO_PACKAGES = ['nginx-light', 'curl', 'openssl', 'python3', 'python3-requests']
const TEST_PACKAGES = [
  'iproute2',
  'nftables',
  'libssl-dev',
  'python3-aiohttp',
  'openjdk-17-jre-headless',
  'maven',
  'redis-server',
  'postgresql',
  'python3-psycopg',
  'python3-pip',
  'bind9-dnsutils',
  'gnutls-bin',
  'python3-redis',
  'tshark',
  'python3-prometheus-client',
]
/** For npm run bench. */
const BENCH_PACKAGES = ['tshark', 'wrk', 'openjdk-17-jre-headless', 'maven']

/** In dpkg-query's own notation. */
const STATUS_FORMAT = '$' + '{Status}'

/** What `packages` lists and dpkg does not have; a package that another one provides counts as there. */
function missingPackages(packages) {
  return packages.filter((name) => {
    const query = spawnSync('dpkg-query', ['-W', '-f', STATUS_FORMAT, name], { encoding: 'utf8' })
    if (query.status === 0 && query.stdout.includes('ok installed')) return false
    return !(name === 'nginx-light' && existsSync('/usr/sbin/nginx'))
  })
}

/** Installs what is missing when root; otherwise says the one command and answers what is missing. */
export function debianPackages({ demo = false, test = false, bench = false } = {}) {
  if (!existsSync('/usr/bin/dpkg-query')) return []
  const wanted = [
    ...BUILD_PACKAGES,
    ...(demo || test || bench ? DEMO_PACKAGES : []),
    ...(test ? TEST_PACKAGES : []),
    ...(bench ? BENCH_PACKAGES : []),
  ]
  const missing = missingPackages(wanted)
  if (missing.length === 0) return []
  if (process.getuid() !== 0) {
    console.error(`missing Debian packages; install them with: sudo apt-get install ${missing.join(' ')}`)
    return missing
  }
  console.error(`installing Debian packages: ${missing.join(' ')}`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const apt = (...words) =>
    spawnSync('apt-get', ['-q', '-o', 'DPkg::Lock::Timeout=300', ...words], {
      env,
      stdio: ['ignore', 'ignore', 'inherit'],
    })
  if (apt('install', '-y', '--no-install-recommends', ...missing).status !== 0) {
    apt('update')
    apt('install', '-y', '--no-install-recommends', ...missing)
  }
  return missingPackages(missing)
}

function run(command, words, options = {}) {
  // What a tool prints belongs to people, not to whatever reads this command's output: file descriptor 2.
  const done = spawnSync(command, words, { cwd: ROOT, stdio: ['ignore', 2, 2], ...options })
  if (done.error) throw new Error(`${command}: ${done.error.message}`)
  if (done.status !== 0) throw new Error(`${command} ${words.join(' ')} failed`)
}

function newest(folder, endings) {
  let time = 0
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) {
      if (entry.name !== 'build' && entry.name !== 'node_modules') time = Math.max(time, newest(path, endings))
    } else if (endings.some((ending) => entry.name.endsWith(ending))) time = Math.max(time, statSync(path).mtimeMs)
  }
  return time
}

function stale(target, ...sources) {
  const path = join(ROOT, target)
  if (!existsSync(path)) return true
  const made = statSync(path).mtimeMs
  return sources.some(([folder, ...endings]) => newest(join(ROOT, folder), endings) > made)
}

export function npmPackages() {
  const installed = join(ROOT, 'node_modules/.package-lock.json')
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(join(ROOT, 'package-lock.json')).mtimeMs) return
  console.error('installing npm packages')
  // Not `npm ci`: it refuses a lock file that lacks an optional package for some other platform, which mirrors leave out.
  run('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'])
}

/** Answers what could not be built, one line each; without clang or g++ everything but live capture works. */
export function build() {
  const problems = []
  // Not the compiler's own record: that is written too where it only checks.
  if (stale('dist/.built', ['services', '.ts'], ['test', '.ts'])) {
    run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc')])
    writeFileSync(join(ROOT, 'dist/.built'), '')
  }
  if (process.platform !== 'linux') return ['live capture needs Linux']
  for (const [target, folder, ...endings] of [
    ['bpf/build/capture.bpf.o', 'bpf', '.c', '.h'],
    ['native/build/klartext.node', 'native/src', '.cpp', '.hpp'],
  ]) {
    if (!stale(target, [folder, ...endings], ['bpf', '.h'])) continue
    const make = spawnSync('make', ['-s', '-C', join(ROOT, folder.split('/')[0]), '-j2'], { encoding: 'utf8' })
    if (make.error || make.status !== 0) {
      problems.push(`${target} was not built: ${firstError(make)}`)
    }
  }
  return problems
}

/** Compilers say first what led them there. */
function firstError(make) {
  const lines = (make.error?.message ?? make.stderr).trim().split('\n')
  return lines.find((line) => /\berror\b/i.test(line)) ?? lines[0]
}

/** A program that tests talk to, from published Go modules, into the user's cache: some minutes, once. */
function goProgram(folder, binary) {
  const path = join(ROOT, folder)
  const hash = createHash('sha256')
  for (const name of ['main.go', 'go.mod', 'go.sum']) hash.update(readFileSync(join(path, name)))
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'klartext')
  const target = join(cache, `${binary}-${hash.digest('hex').slice(0, 16)}`)
  if (existsSync(target)) return []
  const version = /go1\.(\d+)/.exec(spawnSync('go', ['version'], { encoding: 'utf8' }).stdout ?? '')
  if (version === null || Number(version[1]) < 24) return [`${binary} was not built: that needs Go 1.24 or newer`]
  console.error(`building ${binary} for the tests (some minutes, once)`)
  mkdirSync(cache, { recursive: true })
  const words = ['build', '-trimpath', '-ldflags=-s -w', '-o', `${target}.new`, '.']
  const made = spawnSync('go', words, {
    cwd: path,
    stdio: ['ignore', 2, 2],
    env: { ...process.env, CGO_ENABLED: '0' },
  })
  if (made.status !== 0) return [`${binary} was not built`]
  renameSync(`${target}.new`, target)
  return []
}

/** Everything; answers the problems that are left. */
export function setUp(wanted) {
  const missing = debianPackages(wanted)
  npmPackages()
  const problems = build()
  if (wanted?.test) {
    const make = spawnSync('make', ['-s', '-C', join(ROOT, 'native'), 'test-programs'], { encoding: 'utf8' })
    if (make.error || make.status !== 0) problems.push(`test programs were not built: ${firstError(make)}`)
    problems.push(...goProgram('test/kubernetes/apiserver', 'kube-apiserver'))
    problems.push(...goProgram('test/kubernetes/kubectl', 'kubectl'))
    problems.push(...goProgram('test/live/grpc_go', 'grpc-go'))
  }
  if (missing.length > 0) problems.unshift(`missing Debian packages: ${missing.join(' ')}`)
  return problems
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const problem of setUp()) {
    console.error(problem)
    // An image without its addon is none. Where there is nothing to build it for, the rest is whole.
    if (problem.includes('not built')) process.exitCode = 1
  }
}
