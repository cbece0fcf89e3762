/** Hosts that cannot be captured: one line says why, what is there already stays, and demo shows the recording. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { EXIT } from '../../services/core/errors.js'
import { REPO_ROOT } from '../../services/core/repo_root.js'

const folder = mkdtempSync(join(tmpdir(), 'klartext-unprivileged-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const ROOT = process.getuid?.() === 0
/** For one who is root: the same user without its powers; and a file system in which the kernel's types are not there. */
const POWERLESS = ROOT ? ['setpriv', '--bounding-set=-all', '--inh-caps=-all'] : ['env']
const WITHOUT_BTF = ['unshare', '--mount', 'sh', '-c', 'mount -t tmpfs none /sys/kernel/btf && exec "$0" "$@"']

function klartext(within: readonly string[], ...words: string[]) {
  const command = [...within, process.execPath, join(REPO_ROOT, 'services/cli/bin/klartext.mjs'), ...words]
  const done = spawnSync(command[0], command.slice(1), {
    encoding: 'utf8',
    timeout: 120_000,
    env: { ...process.env, HOME: folder },
  })
  return { code: done.status, out: done.stdout, err: done.stderr }
}

const HOSTS: [string, readonly string[], RegExp][] = [
  ['without powers', POWERLESS, /capabilities: run as root, or with CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE/],
  ...(ROOT ? [['without BTF', WITHOUT_BTF, /kernel types \(BTF\): .*CONFIG_DEBUG_INFO_BTF/] as const] : []),
].map(([name, within, reason]) => [name as string, within as readonly string[], reason as RegExp])

for (const [name, within, reason] of HOSTS) {
  test(`${name}: doctor names what is missing`, () => {
    const { code, out, err } = klartext(within, 'doctor')
    assert.equal(code, EXIT.failed)
    assert.equal(err, '')
    const missing = out.split('\n').filter((line) => line.startsWith('NO '))
    assert.equal(missing.length, 1, out)
    assert.match(missing[0], reason)
  })

  test(`${name}: live commands end with one line`, () => {
    const archive = join(folder, 'kept.ktseg')
    writeFileSync(archive, 'as it was')
    for (const words of [
      ['record', '-o', archive],
      ['tail'],
      ['top'],
      ['up', '--port', '18999', '--data', join(folder, 'store')],
    ]) {
      const { code, out, err } = klartext(within, ...words)
      assert.equal(code, EXIT.failed, words[0])
      assert.equal(out, '', words[0])
      assert.match(err, /^cannot capture this host: [^\n]*\n$/, words[0])
      assert.match(err, reason, words[0])
    }
    assert.equal(readFileSync(archive, 'utf8'), 'as it was')
  })
}

test('demo shows the recording and says so', () => {
  const { code, out } = klartext(POWERLESS, 'demo')
  assert.equal(code, EXIT.done)
  assert.match(out, /^this is the bundled recording, not this host \(.*\)\n/)
  assert.match(out, /WHO TALKED TO WHOM/)
})
