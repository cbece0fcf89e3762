/** Discovery over a made-up /proc, step by step; see native/src/discovery.hpp. The files that it maps are real. */
import assert from 'node:assert/strict'
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, test } from 'node:test'
import { REPO_ROOT } from '../core/repo_root.js'

const DRIVER = join(REPO_ROOT, 'native/build/test/discovery_driver')
const ADDON = join(REPO_ROOT, 'native/build/klartext.node')
const LIBSSL = '/usr/lib/x86_64-linux-gnu/libssl.so.3'
const LIBC = '/usr/lib/x86_64-linux-gnu/libc.so.6'
const skip = !existsSync(DRIVER)
  ? 'native/build/test/discovery_driver is not built (make -C native)'
  : !existsSync(LIBSSL) || !existsSync(LIBC)
    ? `${LIBSSL} or ${LIBC} is not there`
    : false
const ID = '0123456789abcdef'.repeat(4)
const OWN_PID = process.pid

interface Found {
  kind: string
  path: string
  attachPath: string
  inode: number
  points: number
  reason: string
  processes: { pid: number; startNs: number; comm: string; containerId: string; podUid: string }[]
}
interface Step {
  appeared: Found[]
  vanished: Found[]
  objects: Found[]
  processes: number
  processesRead: number
  filesOpened: number
}

const root = mkdtempSync(join(tmpdir(), 'klartext-discovery-'))
after(() => rmSync(root, { recursive: true }))

/** A folder that looks like /proc, and the discovery that reads it. */
class FakeProc {
  readonly folder: string
  #driver: ChildProcessWithoutNullStreams
  #answers: AsyncIterator<string>

  constructor(name: string, retireMs: number) {
    this.folder = join(root, name)
    mkdirSync(this.folder)
    this.#driver = spawn(DRIVER, [this.folder, String(retireMs)])
    this.#answers = createInterface({ input: this.#driver.stdout })[Symbol.asyncIterator]()
  }

  /** `size` is what changes when a process maps something. */
  put(
    pid: number,
    files: readonly string[],
    change: { comm?: string; size?: number; start?: number; cgroup?: string; codeStart?: number } = {},
  ): void {
    const { comm = 'app', size = 1000 + files.length, start = 500, cgroup = '0::/\n', codeStart = 4096 } = change
    const folder = join(this.folder, String(pid))
    mkdirSync(folder, { recursive: true })
    const numbers = Array.from({ length: 49 }, () => '0')
    numbers[22 - 4] = String(start)
    numbers[23 - 4] = String(size)
    numbers[26 - 4] = String(codeStart)
    writeFileSync(join(folder, 'stat'), `${pid} (${comm}) S ${numbers.join(' ')}\n`)
    writeFileSync(join(folder, 'cgroup'), cgroup)
    const lines = files.flatMap((file, i) => {
      const { dev, ino } = existsSync(file) ? statSync(file) : { dev: 1, ino: 77 }
      const device = `${((dev >> 8) & 0xfff).toString(16).padStart(2, '0')}:${(dev & 0xff).toString(16).padStart(2, '0')}`
      const at = 0x7f00_0000_0000 + i * 0x10_0000
      const range = (from: number): string => `${(at + from).toString(16)}-${(at + from + 0x1000).toString(16)}`
      return [
        `${range(0)} r--p 00000000 ${device} ${ino}                    ${file}`,
        `${range(0x1000)} r-xp 00001000 ${device} ${ino}                    ${file}`,
      ]
    })
    writeFileSync(
      join(folder, 'maps'),
      [
        ...lines,
        '7ffc0000-7ffd0000 rw-p 00000000 00:00 0     [stack]',
        'ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0  [vsyscall]',
        '',
      ].join('\n'),
    )
    if (!existsSync(join(folder, 'root'))) symlinkSync('/', join(folder, 'root'))
  }

  remove(pid: number): void {
    rmSync(join(this.folder, String(pid)), { recursive: true })
  }

  async step(command: string): Promise<Step> {
    this.#driver.stdin.write(`${command}\n`)
    return JSON.parse((await this.#answers.next()).value) as Step
  }

  close(): void {
    this.#driver.stdin.end()
  }
}

const pids = (object: Found | undefined): number[] => object?.processes.map((process) => process.pid) ?? []

test('one file in many processes is one object; unchanged processes are not read again', { skip }, async () => {
  const proc = new FakeProc('many', 60_000)
  proc.put(10, [LIBC, LIBSSL], { comm: 'evil ) S 1 (x', cgroup: `0::/system.slice/docker-${ID}.scope\n`, start: 1234 })
  proc.put(11, [LIBSSL])
  proc.put(12, [LIBC])
  proc.put(13, [], { size: 0, comm: 'kthreadd' })
  writeFileSync(join(proc.folder, 'uptime'), '1 1\n')
  mkdirSync(join(proc.folder, '14')) // ended while being looked at
  const first = await proc.step('scan')
  assert.equal(first.appeared.length, 1)
  assert.deepEqual(
    { ...first.appeared[0], attachPath: '' },
    {
      kind: 'libssl',
      path: LIBSSL,
      attachPath: '',
      inode: statSync(LIBSSL).ino,
      device: statSync(LIBSSL).dev,
      points: 10,
      reason: '',
      processes: [
        { pid: 10, startNs: 12_340_000_000, comm: 'evil ) S 1 (x', containerId: ID, podUid: '' },
        { pid: 11, startNs: 5_000_000_000, comm: 'app', containerId: '', podUid: '' },
      ],
    },
  )
  assert.match(first.appeared[0]?.attachPath ?? '', /^\/proc\/self\/fd\/\d+$/)
  assert.deepEqual([first.processes, first.processesRead, first.filesOpened], [3, 3, 2])

  const second = await proc.step('scan')
  assert.deepEqual([second.appeared, second.processesRead, second.filesOpened], [[], 0, 0])
  assert.deepEqual(pids(second.objects[0]), [10, 11])

  proc.put(12, [LIBC, LIBSSL]) // dlopen
  const third = await proc.step('scan')
  assert.deepEqual([third.appeared, third.processesRead, third.filesOpened], [[], 1, 0])
  assert.deepEqual(pids(third.objects[0]), [10, 11, 12])
  proc.close()
})

test('a notified process is looked at alone and at once', { skip }, async () => {
  const proc = new FakeProc('notified', 60_000)
  proc.put(20, [LIBC])
  assert.deepEqual((await proc.step('scan')).objects, [])
  proc.put(21, [LIBSSL])
  proc.put(20, [LIBC, LIBSSL], { size: 1001 }) // of the size it had: only the notice can tell
  const one = await proc.step('process 20')
  assert.deepEqual([pids(one.appeared[0]), one.processes], [[20], 1])
  const other = await proc.step('process 21')
  assert.deepEqual([other.appeared, pids(other.objects[0])], [[], [20, 21]])
  assert.equal((await proc.step('process 99')).processes, 0)
  proc.close()
})

test('an exec and a reused pid leave the old mappings behind', { skip }, async () => {
  const proc = new FakeProc('exec', 60_000)
  proc.put(30, [LIBSSL], { comm: 'curl' })
  proc.put(31, [LIBSSL], { start: 100 })
  await proc.step('scan')
  proc.put(30, [LIBC], { comm: 'sh', codeStart: 8192 })
  proc.put(31, [LIBC], { start: 900 })
  const after = await proc.step('scan')
  assert.deepEqual([pids(after.objects[0]), after.objects.length, after.vanished], [[], 1, []])
  proc.put(30, [LIBSSL], { codeStart: 1 })
  const back = await proc.step('scan')
  assert.deepEqual([pids(back.objects[0]), back.appeared], [[30], []])
  proc.close()
})

test('an object vanishes once nobody has mapped it for the retire time, and may come again', { skip }, async () => {
  const proc = new FakeProc('vanish', 0)
  proc.put(40, [LIBSSL])
  assert.equal((await proc.step('scan')).appeared.length, 1)
  proc.remove(40)
  const gone = await proc.step('scan')
  assert.deepEqual([gone.vanished.length, gone.objects], [1, []])
  proc.put(41, [LIBSSL])
  assert.deepEqual(pids((await proc.step('scan')).appeared[0]), [41])
  proc.close()
})

test('a copy of the library in another place is another object, and its replacement a third', { skip }, async () => {
  const proc = new FakeProc('copies', 60_000)
  const copy = join(root, 'libssl.so.3')
  copyFileSync(LIBSSL, copy)
  proc.put(50, [LIBSSL])
  proc.put(51, [copy])
  assert.equal((await proc.step('scan')).appeared.length, 2)
  rmSync(copy)
  copyFileSync(LIBSSL, copy)
  proc.put(52, [copy])
  const upgraded = await proc.step('scan')
  assert.deepEqual(
    upgraded.appeared.map((object) => [object.path, pids(object)]),
    [[copy, [52]]],
  )
  assert.equal(upgraded.objects.length, 3)
  proc.close()
})

test('a path that leads to another file than the mapped one is not believed', { skip }, async () => {
  const proc = new FakeProc('moved', 60_000)
  const path = join(root, 'libssl-moved.so')
  copyFileSync(LIBC, path)
  proc.put(60, [path])
  rmSync(path)
  copyFileSync(LIBSSL, join(root, 'keeper')) // so that the inode number is not given out again
  copyFileSync(LIBSSL, path)
  const step = await proc.step('scan')
  assert.deepEqual([step.objects, step.filesOpened], [[], 0])
  for (let i = 0; i < 3; i++) await proc.step('scan')
  assert.equal((await proc.step('scan')).processesRead, 0, 'it gives up after some tries')
  proc.close()
})

test('libraries and programs that cannot be hooked say why', { skip }, async () => {
  const proc = new FakeProc('reasons', 60_000)
  const named = (name: string): string => {
    const path = join(root, name)
    copyFileSync(LIBC, path)
    return path
  }
  const go = join(root, 'goapp')
  const built = spawnSync('gcc', ['-x', 'c', '-o', go, '-'], {
    input: '__attribute__((section(".go.buildinfo"))) char b[32] = "go"; int main() { return 0; }',
  })
  assert.equal(built.status, 0)
  proc.put(70, [named('libgnutls.so.30'), named('libnspr4.so'), named('libjvm.so'), named('libplain.so'), go])
  const step = await proc.step('scan')
  assert.deepEqual(Object.fromEntries(step.objects.map((object) => [object.kind, object.reason])), {
    gnutls: 'gnutls: not supported yet',
    nss: 'nss: not supported yet',
    java: 'java: not supported yet',
    go: 'go: not supported yet',
  })
  assert.deepEqual(
    step.objects.map((object) => object.points),
    [0, 0, 0, 0],
  )
  proc.close()
})

test('containers and pods by the names of cgroups', { skip }, async () => {
  const proc = new FakeProc('containers', 60_000)
  const POD = '0f1e2d3c-1111-2222-3333-444455556666'
  const SLICE = POD.replaceAll('-', '_')
  const FILE_POD = '9'.repeat(32)
  const OTHER = 'f'.repeat(64)
  const burstable = '/kubepods.slice/kubepods-burstable.slice'
  const cases: [string, string, string][] = [
    // containerd and CRI-O, driver systemd
    [`0::${burstable}/kubepods-burstable-pod${SLICE}.slice/cri-containerd-${ID}.scope`, ID, POD],
    [`0::/kubepods.slice/kubepods-pod${SLICE}.slice/crio-${ID}.scope/container`, ID, POD],
    [`0::/kubepods.slice/kubepods-pod${SLICE}.slice/crio-${ID}.scope/system.slice/docker-${OTHER}.scope`, ID, POD],
    [`0::${burstable}/kubepods-burstable-pod${FILE_POD}.slice/cri-containerd-${ID}.scope`, ID, FILE_POD],
    [`0::${burstable}/kubepods-burstable-pod${SLICE}.slice`, '', POD],
    [`0::${burstable}/kubepods-burstable-pod${SLICE}.slice/crio-conmon-${ID}.scope`, '', POD],
    // the same, driver cgroupfs, v1 and v2
    [`0::/kubepods/besteffort/pod${POD}/${ID}`, ID, POD],
    [`0::/kubepods/pod${POD}/crio-${ID}`, ID, POD],
    [`0::/kubepods/burstable/pod${POD}/${ID}/kubepods/pod${FILE_POD}/${OTHER}`, ID, POD],
    [`12:pids:/kubepods/burstable/pod${POD}/${ID}\n11:memory:/kubepods/burstable/pod${POD}/${ID}\n0::/`, ID, POD],
    [`2:cpu,cpuacct:/\n1:name=systemd:/kubepods.slice/kubepods-pod${SLICE}.slice/docker-${ID}.scope`, ID, POD],
    // containerd with cgroupfs under a kubelet with systemd
    [`0::/system.slice/containerd.service/kubepods-burstable-pod${SLICE}.slice:cri-containerd:${ID}`, ID, POD],
    // a node that is a container
    [`0::/docker/${OTHER}/kubepods/pod${POD}/${ID}`, ID, POD],
    [
      `0::/docker/${OTHER}/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod${SLICE}.slice/cri-containerd-${ID}.scope`,
      ID,
      POD,
    ],
    [`0::/docker/${OTHER}/kubepods/pod${POD}`, '', POD],
    // no pods
    [`0::/system.slice/docker-${ID}.scope`, ID, ''],
    [`0::/docker/${ID}`, ID, ''],
    [`0::/machine.slice/libpod-${ID}.scope/container`, ID, ''],
    [`12:pids:/docker/${ID}\n11:memory:/docker/${ID}\n0::/`, ID, ''],
    // what says nothing
    [`0::/machine.slice/crio-conmon-${ID}.scope`, '', ''],
    [`0::/machine.slice/libpod-conmon-${ID}.scope`, '', ''],
    [`0::/user.slice/user-1000.slice/session-2.scope`, '', ''],
    [`0::/user.slice/pod${POD}`, '', ''],
    [`0::/user.slice/x-pod${SLICE}.slice/shell.scope`, '', ''],
    [`0::/kubepods/pod${POD}x`, '', ''],
    [`0::/kubepods/xpod${POD}`, '', ''],
    [`0::/kubepods/pod${POD.toUpperCase()}`, '', ''],
    [`0::/kubepods/podcast`, '', ''],
    [`0::/x/${ID}0`, '', ''],
    [`0::/x/${ID.slice(1)}`, '', ''],
    [`0::/x/z${ID}`, '', ''],
    [`0::/x/upload-${ID}.scope`, '', ''],
    ['0::', '', ''],
    ['0:', '', ''],
    ['', '', ''],
  ]
  for (const [i, [cgroup]] of cases.entries()) proc.put(100 + i, [LIBSSL], { cgroup: `${cgroup}\n` })
  const [object] = (await proc.step('scan')).objects
  const found = object?.processes.map(({ containerId, podUid }) => [containerId, podUid]) ?? []
  for (const [i, [cgroup, containerId, podUid]] of cases.entries()) {
    assert.deepEqual(found[i], [containerId, podUid], cgroup)
  }
  assert.equal(found.length, cases.length)
  proc.close()
})

test('damaged files of /proc are no processes', { skip }, async () => {
  const proc = new FakeProc('damaged', 60_000)
  const damaged = [
    '',
    '(',
    ')(',
    '1 (a',
    '1 (a) S',
    '1 (a) S 1 2 3\n',
    `1 (a) S ${'x '.repeat(60)}`,
    `1 (a) S ${'9'.repeat(30)} `.repeat(30),
  ]
  damaged.forEach((text, i) => {
    proc.put(200 + i, [LIBSSL])
    writeFileSync(join(proc.folder, String(200 + i), 'stat'), text)
  })
  proc.put(300, [LIBSSL])
  writeFileSync(
    join(proc.folder, '300', 'maps'),
    'x\n-\n00-\n1-2 r-xp\n1-2 r-xp 0 zz:1 5 /a\n1-2 r-xp 0 1:1 99999999999999999999999 /a\n1-2 r-xp 0 1:1 5\n',
  )
  const step = await proc.step('scan')
  assert.deepEqual([step.objects, step.processes], [[], 1])
  proc.close()
})

test('this very process is found through the addon', {
  skip: existsSync(ADDON) ? false : 'native/build/klartext.node is not built',
}, () => {
  interface Listed {
    kind: string
    plan: { points: unknown[] }
    processes: { pid: number }[]
  }
  const list = (createRequire(import.meta.url)(ADDON) as { listTlsObjects(): Listed[] }).listTlsObjects()
  const own = list.find((object) => object.processes.some((process) => process.pid === OWN_PID))
  assert.equal(own?.kind, 'executable')
  assert.ok((own?.plan.points.length ?? 0) >= 8)
})
