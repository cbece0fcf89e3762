/** Pods of one cluster as a directory tells of them. */
import { type Identity, STILL_VALID_US } from '../../../services/core/pods.js'
import { podAddress, podContainer } from './api_server.js'

export const START_US: number = 1_790_000_000_000_000

export function benchIdentities(pods: number): Identity[] {
  return Array.from({ length: pods }, (_, i) => ({
    key: `uid-${i}`,
    kind: 'pod',
    cluster: 'bench',
    namespace: `team-${i % 50}`,
    name: `service-${i % 2000}-7d9f8b6c5d-${i}`,
    workload: `service-${i % 2000}`,
    workloadKind: 'Deployment',
    node: `node-${i % 500}`,
    zone: `eu-1${'abc'[i % 3]}`,
    region: 'eu-1',
    service: `service-${i % 2000}`,
    serviceAccount: `service-${i % 2000}`,
    podUid: `uid-${i}`,
    addresses: [podAddress(i)],
    containers: [{ id: podContainer(i), name: 'app' }],
    validFromUs: START_US,
    validToUs: STILL_VALID_US,
  }))
}
