/**
 * Nodes and pods without a cluster: network namespaces, joined as a routing network plug-in joins them. Each pod has a veth
 * pair to its node and an address of its own, behind a gateway that the node answers for; cluster IPs are turned into a pod's
 * address on the client's node; between two nodes lies a wire whose delay can be set.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { REPO_ROOT } from '../../../services/core/repo_root.js'
import { PYTHON, run } from '../harness.js'

const PREFIX = 'klartext-'
/** Link-local, the same in every pod: the node answers for it. */
const GATEWAY = '169.254.1.1'

/** The reason to skip, or null. */
export function whyNoNetwork(): string | null {
  if (process.getuid?.() !== 0) return 'network namespaces need root'
  const paths = ['/usr/sbin/ip', '/usr/sbin/nft', '/usr/bin/nsenter', '/dev/net/tun']
  const missing = paths.filter((path) => !existsSync(path))
  return missing.length === 0 ? null : `missing: ${missing.join(', ')}`
}

const namespaceOf = (name: string) => `${PREFIX}${process.pid}-${name}`

/** The words that run a program there, and end it when this process ends. */
export function inNamespace(name: string, program: string, ...words: string[]): [string, ...string[]] {
  const enter = ['nsenter', `--net=/run/netns/${namespaceOf(name)}`, 'setpriv', '--pdeathsig', 'KILL'] as const
  return [...enter, program, ...words]
}

async function shellIn(name: string, script: string): Promise<void> {
  const [program, ...words] = inNamespace(name, 'sh', '-ec', script)
  await run(program, words)
}

export class PodNetwork {
  readonly #made: string[] = []
  #wire: ChildProcess | null = null
  #veths = 0

  /** Two nodes at the ends of one wire, each with an address. What runs before this one left behind is removed. */
  async start(nodes: readonly [NodePlace, NodePlace]): Promise<void> {
    await removeLeftBehind()
    for (const { name } of nodes) await this.#namespace(name)
    const [a, b] = nodes
    const script = join(REPO_ROOT, 'test/live/pods/wire.py')
    const words = [script, namespaceOf(a.name), namespaceOf(b.name), 'wire']
    const wire = spawn(PYTHON, words, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#wire = wire
    await once(wire.stdout, 'data')
    for (const [{ name, address }, other] of [
      [a, b],
      [b, a],
    ] as const) {
      await shellIn(
        name,
        `ip addr add ${address}/32 peer ${other.address} dev wire; ip link set wire up
        ip addr add ${GATEWAY}/32 dev lo
        ip route add ${other.pods} dev wire; echo 1 > /proc/sys/net/ipv4/ip_forward
        nft add table ip nat; nft 'add chain ip nat prerouting { type nat hook prerouting priority -100; }'`,
      )
    }
  }

  async #namespace(name: string): Promise<void> {
    await run('ip', ['netns', 'add', namespaceOf(name)])
    this.#made.push(name)
    await shellIn(name, 'ip link set lo up')
  }

  /** A pod, or anything else with an address, on a node. */
  async attach(node: NodePlace, name: string, address: string): Promise<void> {
    await this.#namespace(name)
    const veth = `veth${this.#veths++}`
    await shellIn(
      node.name,
      `ip link add ${veth} type veth peer name eth0 netns ${namespaceOf(name)}; ip link set ${veth} up
      ip route add ${address} dev ${veth} src ${node.address}`,
    )
    await shellIn(
      name,
      `ip addr add ${address}/32 dev eth0; ip link set eth0 up
      ip route add ${GATEWAY} dev eth0; ip route add default via ${GATEWAY} dev eth0`,
    )
  }

  /** What kube-proxy does: on this node, connections to a cluster IP go to a pod. */
  async service(node: string, clusterIp: string, port: number, pod: string, podPort: number): Promise<void> {
    await shellIn(
      node,
      `nft add rule ip nat prerouting ip daddr ${clusterIp} tcp dport ${port} dnat to ${pod}:${podPort}`,
    )
  }

  /** How long a packet is on the wire, from the first node to the second and back. */
  async delay(thereUs: number, backUs: number): Promise<void> {
    const wire = this.#wire as ChildProcess
    wire.stdin?.write(`${thereUs} ${backUs}\n`)
    await once(wire.stdout as NodeJS.EventEmitter, 'data')
  }

  async stop(): Promise<void> {
    this.#wire?.kill('SIGKILL')
    for (const name of this.#made.reverse()) await run('ip', ['netns', 'del', namespaceOf(name)])
    this.#made.length = 0
  }

  /** For a process that is about to end. */
  removeNow(): void {
    this.#wire?.kill('SIGKILL')
    for (const name of this.#made.reverse()) spawnSync('ip', ['netns', 'del', namespaceOf(name)])
  }
}

export interface NodePlace {
  readonly name: string
  readonly address: string
  /** What its pods have their addresses of. */
  readonly pods: string
}

/** Of processes that did not come to remove them. */
async function removeLeftBehind(): Promise<void> {
  if (!existsSync('/run/netns')) return
  for (const name of readdirSync('/run/netns')) {
    const maker = /^klartext-(\d+)-/.exec(name)?.[1]
    if (maker !== undefined && !existsSync(`/proc/${maker}`)) await run('ip', ['netns', 'del', name])
  }
}
