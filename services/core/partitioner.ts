/** Which partition a connection belongs to: Kafka's own murmur2 (seed 0x9747b28c) over the id as eight bytes, big-endian. */
const SEED = 0x9747b28c
const M = 0x5bd1e995
const id = Buffer.alloc(8)

/** The same on every node and in every version: which partition a connection has may never change. */
export function partitionOf(connId: bigint, partitions: number): number {
  id.writeBigUInt64BE(connId)
  return (murmur2(id) & 0x7fffffff) % partitions
}

/** As `org.apache.kafka.common.utils.Utils.murmur2`; 32 bits, signed. */
export function murmur2(bytes: Buffer): number {
  let hash = SEED ^ bytes.length
  let at = 0
  for (; at + 4 <= bytes.length; at += 4) {
    let k = Math.imul(bytes.readInt32LE(at), M)
    k = Math.imul(k ^ (k >>> 24), M)
    hash = Math.imul(hash, M) ^ k
  }
  const rest = bytes.length - at
  if (rest >= 3) hash ^= bytes[at + 2] << 16
  if (rest >= 2) hash ^= bytes[at + 1] << 8
  if (rest >= 1) hash = Math.imul(hash ^ bytes[at], M)
  hash = Math.imul(hash ^ (hash >>> 13), M)
  return hash ^ (hash >>> 15)
}
