/** Segments carry the container and the pod of the process that moved the bytes, as its cgroup is named; never another's. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { ArchiveSource } from '../../services/adapters/archive/reader.js'
import { EXIT } from '../../services/core/errors.js'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import type { Segment } from '../../services/core/segment.js'
import { capture, NO_CAPTURE, PYTHON, run } from './harness.js'
import { Cgroups, enterCgroups, mountOf, removeCgroup } from './pods/cgroups.js'

const [ID, OTHER_ID] = ['0123456789abcdef'.repeat(4), 'fedcba9876543210'.repeat(4)]
const [POD, OTHER_POD] = ['0f1e2d3c-1111-2222-3333-444455556666', '9f1e2d3c-1111-2222-3333-444455556666']
const SLICE = POD.replaceAll('-', '_')

const UNIFIED = mountOf('cgroup2')
const MEMORY = mountOf('cgroup', 'memory')

let server: Server
let url = ''
const cgroups = new Cgroups()

/** One request by a process that lives in these cgroups only. */
async function request(folders: readonly string[], path: string): Promise<void> {
  await run('sh', ['-c', `${enterCgroups(folders)}exec curl -s -o /dev/null '${url}${path}'`])
}

/** Of the connection on which `path` was asked for, at the end that asked. */
function marksOf(segments: readonly Segment[], path: string): string[] {
  const asking = segments.filter(
    ({ connection, payload }) => connection.side === 'client' && payload.includes(`GET ${path} `),
  )
  const ids = new Set(asking.map(({ connection }) => connection.id))
  const mine = segments.filter(({ connection }) => ids.has(connection.id))
  return [...new Set(mine.map(({ connection }) => `${connection.containerId} ${connection.podUid}`))]
}

before(async () => {
  server = createServer((_, response) => response.end('x')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})

after(async () => {
  server.close()
  await cgroups.remove()
})

const V2: [string, string, string][] = [
  [`kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${SLICE}.slice/cri-containerd-${ID}.scope`, ID, POD],
  [`kubepods.slice/kubepods-pod${SLICE}.slice/crio-${ID}.scope/container`, ID, POD],
  [`kubepods/besteffort/pod${POD}/${ID}`, ID, POD],
  [`kubepods/pod${POD}/${ID}/a/b/c`, ID, POD],
  [`system.slice/docker-${ID}.scope`, ID, ''],
  [`kubepods.slice/kubepods-pod${SLICE}.slice/crio-conmon-${ID}.scope`, '', POD],
  ['user.slice/some-thing.scope', '', ''],
]

test('names of cgroup v2, by either driver', { skip: NO_CAPTURE }, async () => {
  const root = UNIFIED as string
  assert.ok(root, 'this host has no cgroup v2')
  const folders = V2.map(([path]) => cgroups.make(root, path))
  const { segments } = await capture({ tls: false }, async () => {
    for (const [i, folder] of folders.entries()) await request([folder], `/v2/${i}`)
    await request([root], '/v2/host')
  })
  for (const [i, [path, id, pod]] of V2.entries())
    assert.deepEqual(marksOf(segments, `/v2/${i}`), [`${id} ${pod}`], path)
  assert.deepEqual(marksOf(segments, '/v2/host'), [' '])
})

test('names of cgroup v1, where v2 is not used', { skip: NO_CAPTURE }, async (t) => {
  if (MEMORY === null) return t.diagnostic('this host has no cgroup v1')
  const [inPod, plain] = [
    cgroups.make(MEMORY, `kubepods/burstable/pod${POD}/${ID}`),
    cgroups.make(MEMORY, `docker/${ID}`),
  ]
  const outside = UNIFIED === null ? [] : [UNIFIED]
  const { segments } = await capture({ tls: false }, async () => {
    await request([...outside, inPod], '/v1/pod')
    await request([...outside, plain], '/v1/docker')
    await request([...outside, MEMORY], '/v1/host')
  })
  assert.deepEqual(marksOf(segments, '/v1/pod'), [`${ID} ${POD}`])
  assert.deepEqual(marksOf(segments, '/v1/docker'), [`${ID} `])
  assert.deepEqual(marksOf(segments, '/v1/host'), [' '])
})

const MOVING = `
import http.client, sys
host, first, second = sys.argv[1:]
def move(folder): open(folder + '/cgroup.procs', 'w').write('0')
def get(connection, path): connection.request('GET', path); connection.getresponse().read()
move(first)
old = http.client.HTTPConnection(host); get(old, '/move/old')
move(second)
get(old, '/move/old/again')
new = http.client.HTTPConnection(host); get(new, '/move/new')
`

test('a process that moves: a connection belongs where it began', { skip: NO_CAPTURE }, async () => {
  const root = UNIFIED as string
  const first = cgroups.make(root, `kubepods/pod${POD}/${ID}`)
  const second = cgroups.make(root, `kubepods/pod${OTHER_POD}/${OTHER_ID}`)
  const { segments } = await capture({ tls: false }, async () => {
    await run(PYTHON, ['-c', MOVING, url.slice('http://'.length), first, second])
  })
  assert.deepEqual(marksOf(segments, '/move/old'), [`${ID} ${POD}`])
  assert.deepEqual(marksOf(segments, '/move/old/again'), [`${ID} ${POD}`])
  assert.deepEqual(marksOf(segments, '/move/new'), [`${OTHER_ID} ${OTHER_POD}`])
})

test('process and cgroup are gone before their segments are read', { skip: NO_CAPTURE }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'klartext-cgroups-'))
  const archive = join(folder, 'gone.ktseg')
  const ids = ['a'.repeat(64), 'b'.repeat(64)]
  const words = [join(REPO_ROOT, 'services/cli/bin/klartext.mjs'), 'record', '-o', archive]
  const recorder = spawn(process.execPath, words, { stdio: ['ignore', 'ignore', 'pipe'] })
  try {
    let said = ''
    recorder.stderr.on('data', (data) => {
      said += data
    })
    while (!said.includes('recording to')) await sleep(20)
    recorder.kill('SIGSTOP')
    const pod = cgroups.make(UNIFIED as string, `kubepods/pod${POD}`)
    for (const [i, id] of ids.entries()) {
      const gone = join(pod, id)
      mkdirSync(gone, { recursive: true })
      await request([gone], `/gone/${i}`)
      await removeCgroup(gone)
    }
    recorder.kill('SIGCONT')
    recorder.kill('SIGINT')
    const [code] = await once(recorder, 'close')
    assert.ok(code === EXIT.done || code === EXIT.losses, `exit code ${code}`)
    const segments: Segment[] = []
    for await (const batch of new ArchiveSource(archive).batches()) segments.push(...batch)
    for (const [i, id] of ids.entries()) assert.deepEqual(marksOf(segments, `/gone/${i}`), [`${id} ${POD}`])
  } finally {
    recorder.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
})

test('two hundred cgroups, one after the other, each removed at once', { skip: NO_CAPTURE }, async (t) => {
  const root = UNIFIED as string
  const pod = cgroups.make(root, `kubepods/pod${POD}`)
  const ids = Array.from({ length: 200 }, (_, i) => i.toString(16).padStart(64, '0'))
  const { segments } = await capture({ tls: false }, async () => {
    for (const [i, id] of ids.entries()) {
      const folder = join(pod, id)
      mkdirSync(folder, { recursive: true })
      await request([folder], `/many/${i}`)
      await removeCgroup(folder)
    }
  })
  for (const [i, id] of ids.entries()) assert.deepEqual(marksOf(segments, `/many/${i}`), [`${id} ${POD}`])
  t.diagnostic(`${ids.length} cgroups`)
})
