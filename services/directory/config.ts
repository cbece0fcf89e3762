/** The configuration of the directory. */
import { type SectionOf, text } from '../core/config/key.js'
import { KAFKA_KEYS, LOG_KEYS, operationsKeys } from '../core/config/shared.js'
import { UsageError } from '../core/errors.js'

const DIRECTORY_KEYS = {
  cluster: text('KLARTEXT_CLUSTER', { help: 'what flows call this cluster; as the capturers on its nodes are told' }),
  network: text('KLARTEXT_NETWORK', {
    fallback: '',
    help: "clusters that route each other's pod addresses and use none twice share a name; empty: this one is alone",
  }),
  kubeconfig: text('KUBECONFIG', {
    fallback: '',
    help: 'file that says how to reach the API server; without one as kubectl would, or as the service account of the pod',
  }),
}
export type DirectoryConfig = SectionOf<typeof DIRECTORY_KEYS>

export const DIRECTORY_CONFIG = {
  kafka: KAFKA_KEYS,
  directory: DIRECTORY_KEYS,
  operations: operationsKeys(9704),
  log: LOG_KEYS,
}

/** Names become keys of messages and values of columns. */
const NAME = /^[\w.-]{1,63}$/

/** Throws UsageError. */
export function checkDirectory({ cluster, network }: DirectoryConfig): void {
  for (const [env, name] of [
    ['KLARTEXT_CLUSTER', cluster],
    ['KLARTEXT_NETWORK', network],
  ]) {
    if (name !== '' && !NAME.test(name)) {
      throw new UsageError(
        `${env}: up to 63 letters, digits, dots, dashes and underscores, not ${JSON.stringify(name)}`,
      )
    }
  }
}
