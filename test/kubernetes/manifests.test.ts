/** The manifests as `kubectl apply -k` takes them, judged by a real API server, and held against what klartext has. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { parseAllDocuments } from 'yaml'
import { readWords } from '../../services/cli/command.js'
import { COMMANDS } from '../../services/cli/commands/index.js'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import { Cluster, goProgramPath, whyNoCluster } from './cluster.js'

const OVERLAYS = readdirSync(join(REPO_ROOT, 'k8s/overlays'))
const skip = whyNoCluster()

interface Container {
  readonly name: string
  readonly image: string
  readonly args?: readonly string[]
  readonly env?: readonly { readonly name: string }[]
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[]
  readonly livenessProbe?: object
  readonly readinessProbe?: object
  readonly resources: { readonly requests?: object; readonly limits?: { readonly memory?: string } }
  readonly securityContext: {
    readonly privileged?: boolean
    readonly readOnlyRootFilesystem?: boolean
    readonly capabilities: { readonly add?: readonly string[]; readonly drop?: readonly string[] }
  }
}
interface Workload {
  readonly kind: string
  readonly metadata: { readonly name: string; readonly annotations?: Record<string, string> }
  readonly data?: Readonly<Record<string, string>>
  readonly stringData?: Readonly<Record<string, string>>
  readonly spec: {
    readonly template: {
      readonly metadata: { readonly annotations?: Readonly<Record<string, string>> }
      readonly spec: { readonly containers: readonly Container[]; readonly automountServiceAccountToken?: boolean }
    }
  }
}

function kubectl(words: readonly string[], input?: string): string {
  const done = spawnSync(goProgramPath('kubectl'), words, { encoding: 'utf8', input, maxBuffer: 1 << 24 })
  assert.equal(done.status, 0, `kubectl ${words.join(' ')}: ${done.stderr}`)
  return `${done.stdout}${done.stderr}`
}

const rendered = (overlay: string) => kubectl(['kustomize', join(REPO_ROOT, 'k8s/overlays', overlay)])
const objects = (overlay: string) => parseAllDocuments(rendered(overlay)).map((each) => each.toJS() as Workload)
const workloads = (overlay: string) => objects(overlay).filter(({ spec }) => spec?.template !== undefined)
const ours = (overlay: string) =>
  workloads(overlay).flatMap(({ spec }) =>
    spec.template.spec.containers.filter(({ image }) => image.startsWith('klartext:')),
  )

let cluster: Cluster
let reach: string[]
before(async () => {
  if (skip) return
  cluster = await Cluster.start()
  reach = ['--server', cluster.url, '--token', cluster.adminToken, '--insecure-skip-tls-verify']
  await cluster.call('POST', '/api/v1/namespaces', { metadata: { name: 'klartext' } })
})
after(async () => {
  if (!skip) await cluster.stop()
})

for (const overlay of OVERLAYS) {
  test(`${overlay}: the API server takes all of it, without a warning`, { skip }, () => {
    const text = rendered(overlay)
    const said = kubectl([...reach, 'apply', '--server-side', '--dry-run=server', '-f', '-'], text)
    const lines = said.trim().split('\n')
    assert.deepEqual(
      lines.filter((line) => !/serverside-applied \(server dry run\)$/.test(line)),
      [],
    )
    assert.equal(lines.length, objects(overlay).length)
  })

  test(`${overlay}: each container runs a command that klartext has, with variables that it reads`, {
    skip,
  }, async () => {
    const folder = join(REPO_ROOT, 'services')
    const source = readdirSync(folder, { recursive: true })
      .map(String)
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
      .map((name) => readFileSync(join(folder, name), 'utf8'))
      .join('\n')
    const containers = ours(overlay)
    assert.ok(containers.length >= 2)
    for (const { args = [], env = [] } of containers) {
      const [name, ...words] = args
      assert.ok(Object.hasOwn(COMMANDS, name), `klartext has no command ${name}`)
      readWords(await COMMANDS[name as keyof typeof COMMANDS](), words)
      for (const { name: variable } of env) assert.match(source, new RegExp(`'${variable}'`), variable)
    }
    const settings = objects(overlay).filter(({ metadata }) => metadata.name === 'klartext')
    const names = settings.flatMap(({ data, stringData }) => Object.keys({ ...data, ...stringData }))
    assert.ok(names.includes('KAFKA_BROKERS'))
    for (const name of names) assert.match(source, new RegExp(`'${name}'`), name)
  })

  test(`${overlay}: no powers but the capturer's, bounded memory, probes`, { skip }, () => {
    for (const { kind, metadata, spec } of workloads(overlay)) {
      const { containers, automountServiceAccountToken } = spec.template.spec
      assert.equal(automountServiceAccountToken, metadata.name === 'klartext-directory', metadata.name)
      for (const { name, image, resources, securityContext, readinessProbe, ports = [] } of containers) {
        assert.ok(resources.requests !== undefined && resources.limits?.memory !== undefined, name)
        assert.notEqual(securityContext.privileged, true)
        assert.deepEqual(securityContext.capabilities.drop, ['ALL'], name)
        const powers = name === 'capture' ? ['BPF', 'PERFMON', 'SYS_PTRACE'] : undefined
        assert.deepEqual(securityContext.capabilities.add, powers, name)
        if (kind !== 'Job') assert.ok(readinessProbe, name)
        if (!image.startsWith('klartext:')) continue
        assert.equal(securityContext.readOnlyRootFilesystem, true, name)
        const scraped = spec.template.metadata.annotations?.['prometheus.io/port']
        if (scraped !== undefined) assert.equal(String(ports[0].containerPort), scraped, name)
      }
    }
  })
}

test('all but the capturer run where only restricted pods may', { skip }, async () => {
  const labels = { 'pod-security.kubernetes.io/enforce': 'restricted', 'pod-security.kubernetes.io/warn': 'restricted' }
  await cluster.call('POST', '/api/v1/namespaces', { metadata: { name: 'restricted', labels } })
  const apply = (kinds: readonly string[]) => {
    const chosen = objects('try_out')
      .filter(({ kind }) => kinds.includes(kind))
      .map((each) => JSON.stringify({ ...each, metadata: { ...each.metadata, namespace: 'restricted' } }))
    return kubectl([...reach, 'apply', '--server-side', '--dry-run=server', '-f', '-'], chosen.join('\n---\n'))
  }
  assert.doesNotMatch(apply(['Deployment', 'StatefulSet', 'Job']), /Warning/)
  assert.match(apply(['DaemonSet']), /Warning: .*hostPID/)
})

test('the capturer may do nothing at the API server', { skip }, async () => {
  kubectl([...reach, 'apply', '--server-side', '-f', '-'], rendered('capture_only'))
  const token = await cluster.token('klartext', 'klartext-capture')
  for (const path of ['/api/v1/pods', '/api/v1/namespaces/klartext/secrets', '/api/v1/nodes']) {
    const said = spawnSync(
      goProgramPath('kubectl'),
      ['--server', cluster.url, '--token', token, '--insecure-skip-tls-verify', 'get', '--raw', path],
      { encoding: 'utf8' },
    )
    assert.match(said.stderr, /Forbidden|forbidden/, path)
  }
})
