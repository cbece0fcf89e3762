/** Keys of klartext.state: the first byte says what the value is of. */

export interface CheckpointEntry {
  readonly key: Buffer
  /** null: there is nothing to restore any more. */
  readonly value: Buffer | null
}

const CONNECTION = 0x63
const CLOSED = 0x6b

/** `c` and the connection's id. */
export function connectionKey(id: bigint): Buffer {
  const key = Buffer.allocUnsafe(9)
  key[0] = CONNECTION
  key.writeBigUInt64BE(id, 1)
  return key
}

export function isConnectionKey(key: Buffer): boolean {
  return key.length === 9 && key[0] === CONNECTION
}

/** `k` and the number of a part of the connections that are over. */
export function closedKey(part: number): Buffer {
  return Buffer.from([CLOSED, part])
}

export function isClosedKey(key: Buffer): boolean {
  return key.length === 2 && key[0] === CLOSED
}
