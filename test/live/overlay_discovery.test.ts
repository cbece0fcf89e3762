/**
 * Containers of one image map one file through different overlay mounts. It must be one object, or a probe would be set
 * twice on one inode and every byte seen twice. Needs root and overlayfs.
 */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { REPO_ROOT } from '../../services/core/repo_root.js'

const DISCOVERY = join(REPO_ROOT, 'native/build/test/discovery_driver')
const SITES = join(REPO_ROOT, 'native/build/test/probe_site_driver')
const LIBSSL = '/usr/lib/x86_64-linux-gnu/libssl.so.3'

interface Found {
  kind: string
  path: string
  device: number
  inode: number
  processes: { pid: number }[]
}

const folder = mkdtempSync(join(tmpdir(), 'klartext-overlay-'))
const mounts: string[] = []
after(() => {
  for (const mount of mounts) spawnSync('umount', ['-l', mount])
  rmSync(folder, { recursive: true })
})

function mountOverlay(lower: string, name: string): string | undefined {
  const [upper, work, merged] = ['upper', 'work', 'merged'].map((part) => join(folder, `${name}-${part}`)) as [
    string,
    string,
    string,
  ]
  for (const path of [upper, work, merged]) mkdirSync(path)
  const run = spawnSync('mount', [
    '-t',
    'overlay',
    'overlay',
    '-o',
    `lowerdir=${lower},upperdir=${upper},workdir=${work}`,
    merged,
  ])
  if (run.status !== 0) return undefined
  mounts.push(merged)
  return merged
}

test('one layer, two mounts: one object with both processes, and one probe for both', async (t) => {
  if (process.getuid?.() !== 0) return t.skip('mounting and uprobes need root')
  if (!existsSync(DISCOVERY) || !existsSync(SITES)) return t.skip('native parts are not built (make -C native)')
  if (!existsSync(LIBSSL)) return t.skip(`${LIBSSL} is not there`)
  const lower = join(folder, 'layer')
  mkdirSync(lower)
  copyFileSync(LIBSSL, join(lower, 'libssl.so.3'))
  const source = join(folder, 'f.s')
  writeFileSync(
    source,
    '.intel_syntax noprefix\n.globl f\n.type f, @function\nf: push rbx\n mov eax, edx\n pop rbx\n ret\n.section .note.GNU-stack,"",@progbits\n',
  )
  assert.equal(spawnSync('gcc', ['-shared', '-nostdlib', '-o', join(lower, 'f.so'), source]).status, 0)
  const first = mountOverlay(lower, 'a')
  const second = mountOverlay(lower, 'b')
  if (first === undefined || second === undefined) return t.skip('this kernel mounts no overlay here')

  const sleepers = [first, second].map((mount) =>
    spawn('sleep', ['30'], { env: { LD_PRELOAD: join(mount, 'libssl.so.3') }, stdio: 'ignore' }),
  )
  try {
    const mapped = (pid: number | undefined): boolean =>
      readFileSync(`/proc/${pid}/maps`, 'utf8').includes('libssl.so.3')
    for (let i = 0; i < 200 && !sleepers.every((sleeper) => mapped(sleeper.pid)); i++) await sleep(10)
    const run = spawnSync(DISCOVERY, ['/proc', '1000'], { input: 'scan\n' })
    const objects = (JSON.parse(run.stdout.toString()) as { objects: Found[] }).objects
    const ours = objects.filter((object) => object.path.startsWith(folder))
    assert.equal(ours.length, 1)
    assert.deepEqual(
      ours[0]?.processes.map((process) => process.pid).sort(),
      sleepers.map((sleeper) => sleeper.pid).sort(),
    )
    assert.deepEqual([ours[0]?.device, ours[0]?.inode], [0, statSync(join(lower, 'libssl.so.3')).ino])
  } finally {
    for (const sleeper of sleepers) sleeper.kill()
  }

  // A probe set through one mount counts calls of the library mapped through the other.
  const offset = Number.parseInt(
    spawnSync('nm', [join(lower, 'f.so')])
      .stdout.toString()
      .match(/^([0-9a-f]+) T f$/m)?.[1] ?? '',
    16,
  )
  const counted = spawnSync(SITES, [
    join(second, 'f.so'),
    'f',
    String(offset),
    String(offset),
    '1000',
    join(first, 'f.so'),
  ])
  assert.match(counted.stdout.toString(), /^1000 1000 7000 /, counted.stderr.toString())
})
