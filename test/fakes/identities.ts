import { type Identity, STILL_VALID_US } from '../../services/core/pods.js'

/** A pod of cluster `lab` with the address 10.1.0.1, but for what is said otherwise. */
export function identity(name: string, more: Partial<Identity>): Identity {
  return {
    key: name,
    kind: 'pod',
    cluster: 'lab',
    namespace: 'shop',
    name,
    workload: name,
    workloadKind: 'Deployment',
    node: 'node-1',
    zone: 'eu-1a',
    region: 'eu-1',
    service: '',
    serviceAccount: 'default',
    podUid: '',
    addresses: ['10.1.0.1'],
    containers: [],
    validFromUs: 0,
    validToUs: STILL_VALID_US,
    ...more,
  }
}
