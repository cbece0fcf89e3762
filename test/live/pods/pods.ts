/** The pods of the small cluster, and where their cgroups lie: each as another runtime and driver name them. */
import { mountOf } from './cgroups.js'
import type { PodSpec } from './objects.js'

export interface CgroupPath {
  readonly root: string
  readonly path: string
}

/** Cgroups of a container, from the uid of its pod and its own id. */
export type Naming = (pod: string, container: string) => readonly CgroupPath[]

/** The root of cgroup v2. */
export function unified(): string {
  const root = mountOf('cgroup2')
  if (root === null) throw new Error('this host has no cgroup v2')
  return root
}

const slice = (uid: string) => `pod${uid.replaceAll('-', '_')}.slice`
const atV2 = (path: string) => [{ root: unified(), path }]

const containerd: Naming = (pod, id) =>
  atV2(`kubepods.slice/kubepods-burstable.slice/kubepods-burstable-${slice(pod)}/cri-containerd-${id}.scope`)
const crio: Naming = (pod, id) =>
  atV2(`kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-${slice(pod)}/crio-${id}.scope`)
/** Without systemd as the driver. */
const folders: Naming = (pod, id) => atV2(`kubepods/burstable/pod${pod}/${id}`)
/** Where this host still has cgroup v1. */
const v1: Naming = (pod, id) => {
  const memory = mountOf('cgroup', 'memory')
  if (memory === null) return folders(pod, id)
  return [...atV2(''), { root: memory, path: `kubepods/pod${pod}/${id}` }]
}

export const PODS: Readonly<Record<string, PodSpec & { readonly naming: Naming }>> = {
  front: {
    namespace: 'shop',
    workload: 'front',
    node: 'node-1',
    address: '10.244.1.11',
    runtime: 'containerd',
    containers: ['app', 'sidecar'],
    naming: containerd,
  },
  web: {
    namespace: 'edge',
    workload: 'web',
    node: 'node-1',
    address: '10.244.1.12',
    runtime: 'containerd',
    containers: ['nginx'],
    naming: v1,
  },
  api: {
    namespace: 'shop',
    workload: 'api',
    node: 'node-2',
    address: '10.244.2.11',
    runtime: 'cri-o',
    containers: ['node'],
    naming: crio,
  },
  batch: {
    namespace: 'jobs',
    workload: 'batch',
    node: 'node-2',
    address: '10.244.2.12',
    runtime: 'containerd',
    containers: ['job'],
    naming: folders,
  },
}

/** Has the address of `batch` after it. */
export const SUCCESSOR: PodSpec & { readonly naming: Naming } = {
  ...PODS.batch,
  workload: 'report',
  containers: ['writer'],
  naming: containerd,
}
