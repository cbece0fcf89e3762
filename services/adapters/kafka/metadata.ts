import { KlartextError } from '../../core/errors.js'

/** Kafka's default for `offset.metadata.max.bytes`. */
const METADATA_BYTES_MAX = 4096

/** Throws KlartextError `METADATA_TOO_LARGE`. */
export function checkMetadata(metadata: string): void {
  const size = Buffer.byteLength(metadata)
  if (size <= METADATA_BYTES_MAX) return
  const what = `offset metadata has ${size} bytes, at most ${METADATA_BYTES_MAX} are kept`
  throw new KlartextError('METADATA_TOO_LARGE', what)
}
