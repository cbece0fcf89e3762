/** Objects of a real API server, as kubelets and controllers would write them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadAllYaml } from '@kubernetes/client-node'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import type { Cluster } from './cluster.js'

export const PODS = '/api/v1/namespaces/shop/pods'

const PATHS: Readonly<Record<string, string>> = {
  ServiceAccount: '/api/v1/namespaces/klartext/serviceaccounts',
  ClusterRole: '/apis/rbac.authorization.k8s.io/v1/clusterroles',
  ClusterRoleBinding: '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
}

const MERGE = 'application/merge-patch+json'
const iso = (seconds: number) => new Date(Math.floor(seconds) * 1000).toISOString()

export interface Owner {
  readonly name: string
  readonly uid: string
}

export async function applyManifest(cluster: Cluster, path: string): Promise<void> {
  for (const object of loadAllYaml(readFileSync(join(REPO_ROOT, path), 'utf8')) as { kind: string }[]) {
    await cluster.call('POST', PATHS[object.kind], object)
  }
}

/** Answers its uid. `fromS`: since 1970; `containerId`: of its container, which runs since then. */
export async function startPod(
  cluster: Cluster,
  name: string,
  ip: string,
  set: Owner,
  fromS: number,
  containerId = '',
): Promise<string> {
  const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', controller: true, ...set }
  const made = await cluster.call('POST', PODS, {
    metadata: { name, ownerReferences: [owner] },
    spec: { nodeName: 'node-1', containers: [{ name: 'app', image: 'app' }], terminationGracePeriodSeconds: 0 },
  })
  const running = { name: 'app', image: 'app', imageID: '', ready: true, restartCount: 0 }
  const containerStatuses = [
    { ...running, containerID: `containerd://${containerId}`, state: { running: { startedAt: iso(fromS) } } },
  ]
  const known = { phase: 'Running', startTime: iso(fromS), podIP: ip, podIPs: [{ ip }] }
  const status = containerId === '' ? known : { ...known, containerStatuses }
  await cluster.call('PATCH', `${PODS}/${name}/status`, { status }, MERGE)
  return (made as { metadata: { uid: string } }).metadata.uid
}

export async function endPod(cluster: Cluster, name: string, fromS: number, atS: number): Promise<void> {
  const ended = { name: 'app', image: 'app', imageID: '', ready: false, restartCount: 0 }
  const state = { terminated: { exitCode: 0, startedAt: iso(fromS), finishedAt: iso(atS) } }
  const status = { containerStatuses: [{ ...ended, state }] }
  await cluster.call('PATCH', `${PODS}/${name}/status`, { status }, MERGE)
  await cluster.call('DELETE', `${PODS}/${name}`)
}

export async function replicaSet(cluster: Cluster, name: string, workload: string): Promise<Owner> {
  const owner = { apiVersion: 'apps/v1', kind: 'Deployment', name: workload, uid: `d-${workload}`, controller: true }
  const labels = { app: name }
  const made = await cluster.call('POST', '/apis/apps/v1/namespaces/shop/replicasets', {
    metadata: { name, ownerReferences: [owner] },
    spec: {
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'app', image: 'app' }] } },
    },
  })
  return { name, uid: (made as { metadata: { uid: string } }).metadata.uid }
}
