/**
 * A small cluster on this host: two nodes in two zones, four pods, a service; and beside them what is no pod. It knows who
 * called whom, since it makes the calls.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { REPO_ROOT } from '../../../services/core/repo_root.js'
import { Cluster } from '../../kubernetes/cluster.js'
import { PYTHON, run } from '../harness.js'
import { Cgroups, enterCgroups } from './cgroups.js'
import { inNamespace, type NodePlace, PodNetwork } from './network.js'
import { ClusterObjects, type MadePod, type PodSpec, wholeSecond } from './objects.js'
import { type Naming, PODS, SUCCESSOR, unified } from './pods.js'

export const NODES: readonly [NodePlace, NodePlace] = [
  { name: 'node-1', address: '192.168.77.1', pods: '10.244.1.0/24' },
  { name: 'node-2', address: '192.168.77.2', pods: '10.244.2.0/24' },
]
export const ZONES: Readonly<Record<string, string>> = { 'node-1': 'eu-1a', 'node-2': 'eu-1b' }
const SERVICE_IP = '10.96.7.7'
/** What runs there is in no pod. */
const STRANGER_ID = '5'.repeat(64)
const STRANGER_ADDRESS = '10.9.9.9'

/** Somewhere a program runs: a container, or a place that is none. */
export interface Place {
  /** Of the network namespace. */
  readonly network: string
  readonly cgroups: readonly string[]
  /** What is known of it; null for what is no pod. */
  readonly pod: (PodSpec & MadePod) | null
  readonly container: string
  readonly address: string
}

export interface Call {
  readonly id: string
  readonly from: Place
  readonly to: Place
  readonly via: 'address' | 'service' | 'loopback'
  readonly tool: 'curl' | 'python' | 'node'
  readonly tls: boolean
  readonly count: number
  /** How long the server takes. */
  readonly serverMs: number
}

export class PodWorld {
  readonly network = new PodNetwork()
  readonly calls: Call[] = []
  readonly #cgroups = new Cgroups()
  readonly #folder = mkdtempSync(join(tmpdir(), 'klartext-world-'))
  readonly #programs: ChildProcess[] = []
  readonly #places = new Map<string, Place>()
  #cluster: Cluster | null = null
  #objects: ClusterObjects | null = null
  kubeconfig = ''

  async start(): Promise<void> {
    process.once('SIGTERM', this.#abandon)
    const cluster = await Cluster.start()
    this.#cluster = cluster
    const token = join(this.#folder, 'token')
    writeFileSync(token, cluster.adminToken)
    this.kubeconfig = cluster.kubeconfig(token)
    await this.network.start(NODES)
    this.#objects = new ClusterObjects(cluster)
    await this.#makeObjects(this.#objects)
    await this.#strangers()
    await this.#services()
  }

  async #makeObjects(objects: ClusterObjects): Promise<void> {
    for (const { name, address } of NODES) await objects.node(name, ZONES[name], address)
    for (const name of ['shop', 'edge', 'jobs']) await objects.namespace(name)
    const made: Record<string, MadePod> = {}
    for (const [network, { naming, ...spec }] of Object.entries(PODS)) {
      const pod = { ...spec, ...(await objects.pod(spec)) }
      made[network] = pod
      await this.network.attach(nodeNamed(spec.node), network, spec.address)
      this.#containers(network, pod, naming)
    }
    await objects.service('shop', 'api', SERVICE_IP, [made.api])
    for (const { name } of NODES) {
      await this.network.service(name, SERVICE_IP, 443, PODS.api.address, 8443)
      await this.network.service(name, SERVICE_IP, 80, PODS.api.address, 8080)
    }
  }

  #containers(network: string, pod: PodSpec & MadePod, naming: Naming): void {
    for (const container of pod.containers) {
      const cgroups = naming(pod.uid, pod.containerIds[container]).map(({ root, path }) =>
        this.#cgroups.make(root, path),
      )
      this.#places.set(`${network}/${container}`, { network, cgroups, pod, container, address: pod.address })
    }
  }

  /** `batch` ends, and two seconds later another pod begins with its address. */
  async succeed(): Promise<void> {
    const objects = this.#objects as ClusterObjects
    const { pod } = this.place('batch/job')
    await objects.end(PODS.batch, pod as MadePod)
    await sleep(2_000)
    const { naming, ...spec } = SUCCESSOR
    const next = await objects.pod(spec, wholeSecond(Date.now()))
    this.#containers('batch', { ...spec, ...next }, naming)
  }

  /** A container that no Kubernetes knows, with an address likewise; and a process of a node itself. */
  async #strangers(): Promise<void> {
    await this.network.attach(NODES[0], 'stranger', STRANGER_ADDRESS)
    const docker = this.#cgroups.make(unified(), `system.slice/docker-${STRANGER_ID}.scope`)
    const none = { pod: null, container: '' }
    const stranger = { ...none, network: 'stranger', cgroups: [docker], address: STRANGER_ADDRESS }
    this.#places.set('stranger', { ...stranger, container: STRANGER_ID })
    this.#places.set('node', { ...none, network: 'node-1', cgroups: [unified()], address: NODES[0].address })
    // Its answers find their way from the other node as well.
    const [program, ...words] = inNamespace('node-2', 'ip', 'route', 'add', STRANGER_ADDRESS, 'dev', 'wire')
    await run(program, words)
  }

  place(name: string): Place {
    const place = this.#places.get(name)
    if (place === undefined) throw new Error(`no place ${name}`)
    return place
  }

  async #services(): Promise<void> {
    const folder = this.#folder
    const files = ['-keyout', `${folder}/key.pem`, '-out', `${folder}/cert.pem`]
    await run('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-subj', '/CN=pod', ...files])
    const script = join(REPO_ROOT, 'test/live/pods/server.mjs')
    const node = (address: string, tls: string, plain: string) => [
      process.execPath,
      script,
      folder,
      address,
      tls,
      plain,
    ]
    await this.#serve('api/node', node('0.0.0.0', '8443', '8080'))
    await this.#serve('front/sidecar', node('127.0.0.1', '0', '9000'))
    const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder};`)
    writeFileSync(
      join(folder, 'nginx.conf'),
      `daemon off; master_process off; pid ${folder}/nginx.pid; error_log stderr crit;
       events {} http { access_log off; ${paths.join(' ')} server { listen 443 ssl; listen 80;
       ssl_certificate ${folder}/cert.pem; ssl_certificate_key ${folder}/key.pem; location / { return 200 "hello"; } } }`,
    )
    this.#spawn('web/nginx', ['nginx', '-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')])
    await this.#answers(this.place('front/app'), `http://${PODS.web.address}/`)
  }

  async #serve(name: string, words: readonly string[]): Promise<void> {
    const program = this.#spawn(name, words)
    await once(program.stdout as NodeJS.EventEmitter, 'data')
  }

  async #answers(from: Place, url: string): Promise<void> {
    for (let tries = 0; ; tries++) {
      const answered = await this.#run(from, ['curl', '-sf', '-o', '/dev/null', url]).catch((error) => error as Error)
      if (!(answered instanceof Error)) return
      if (tries === 50) throw answered
      await sleep(100)
    }
  }

  #words({ network, cgroups }: Place, [program, ...words]: readonly string[]): string[] {
    return ['-c', `${enterCgroups(cgroups)}exec "$0" "$@"`, ...inNamespace(network, program, ...words)]
  }

  #spawn(name: string, words: readonly string[]): ChildProcess {
    const program = spawn('sh', this.#words(this.place(name), words), { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#programs.push(program)
    return program
  }

  async #run(place: Place, words: readonly string[]): Promise<void> {
    await run('sh', this.#words(place, words))
  }

  /** So many requests one after the other, `/calls/ID/1` and so on; remembered as what really was. */
  async call(options: Omit<Call, 'from' | 'to' | 'id'> & { readonly from: string; readonly to: string; id?: string }) {
    const [from, to] = [this.place(options.from), this.place(options.to)]
    const id = options.id ?? String(this.calls.length)
    const call: Call = { ...options, from, to, id }
    this.calls.push(call)
    const url = `${originOf(call)}/calls/${id}/N?ms=${call.serverMs}`
    const script = (name: string) => join(REPO_ROOT, 'test/live/pods', name)
    const numbered = url.replace('N', `[1-${call.count}]`)
    const words = {
      curl: ['curl', '-skf', '--max-time', '20', numbered],
      python: [PYTHON, script('client.py'), url, String(call.count)],
      node: [process.execPath, script('client.mjs'), url, String(call.count)],
    }[call.tool]
    await this.#run(from, words)
  }

  /** The runner gives up on this process. */
  readonly #abandon = () => {
    for (const program of this.#programs) program.kill('SIGKILL')
    this.network.removeNow()
    this.#cgroups.removeNow()
    process.exit(1)
  }

  async stop(): Promise<void> {
    process.off('SIGTERM', this.#abandon)
    for (const program of this.#programs) program.kill('SIGKILL')
    await this.network.stop()
    await this.#cgroups.remove()
    await this.#cluster?.stop()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

function nodeNamed(wanted: string): NodePlace {
  const node = NODES.find(({ name }) => name === wanted)
  if (node === undefined) throw new Error(`no node ${wanted}`)
  return node
}

function originOf({ to, via, tls }: Call): string {
  const scheme = tls ? 'https' : 'http'
  if (via === 'loopback') return `${scheme}://127.0.0.1:9000`
  if (via === 'service') return `${scheme}://${SERVICE_IP}`
  if (to.network === 'web') return `${scheme}://${to.address}`
  return `${scheme}://${to.address}:${tls ? 8443 : 8080}`
}
