/** Plaintext bytes of one direction of one connection: what capturers publish and decoders eat. */

export type Direction = 0 | 1
export const TO_SERVER = 0
export const TO_CLIENT = 1

export function opposite(direction: Direction): Direction {
  return direction === TO_SERVER ? TO_CLIENT : TO_SERVER
}

export type Transport = 'tcp' | 'udp' | 'unix'
export type CaptureSide = 'unknown' | 'client' | 'server'

/** Bits of `Segment.flags`; `bpf/segment.h` has the same numbers and a test holds the two together. */
export const SegmentFlag = {
  /** First segment of a connection whose beginning was seen. */
  OPEN: 1 << 0,
  /** This direction says nothing more; length 0, position = bytes of the direction in all. */
  CLOSE: 1 << 1,
  /** Bytes just before this segment are known to be missing; `position` tells how many. */
  GAP_BEFORE: 1 << 2,
  /** The payload was cut: `length` bytes passed, fewer were copied. */
  TRUNCATED: 1 << 3,
  /** The connection was already alive when it was first seen. */
  MIDSTREAM: 1 << 4,
  /** Counted and left out on purpose (policy, budget, or ciphertext of a connection that is captured as plaintext). */
  MUTED: 1 << 5,
  /** Carries no bytes: the connection's addresses have become known. */
  BIND: 1 << 6,
  /** Order against a concurrent call on the same connection could not be established. */
  RACY: 1 << 7,
  /** Client and server were told apart by a rule of thumb, not by connect or accept; the decoder may turn them. */
  ROLE_GUESSED: 1 << 8,
  /** With CLOSE: the connection was reset. */
  RESET: 1 << 9,
  /** The bytes could not be read from the process's memory. */
  FAULT: 1 << 10,
} as const

/**
 * One socket's life, or one TLS object's where plaintext was taken from a TLS library. One object per connection and
 * batch, shared by its segments; a live source makes a new object when it learns more (addresses, TLS version).
 */
export class ConnectionInfo {
  /** Stable over node, process and reuse of descriptors. */
  readonly id: bigint
  transport: Transport = 'tcp'
  side: CaptureSide = 'unknown'
  /** Where the bytes were taken: `openssl`, `socket`, `pcap` ... */
  source = ''
  /** Text form; `''` while unbound. IPv4 dotted, IPv6 as RFC 5952. */
  clientIp = ''
  clientPort = 0
  serverIp = ''
  serverPort = 0
  pid = 0
  /** Boot clock. BigInt is kept out of the hot path: this is only passed through. */
  processStartNs = 0n
  comm = ''
  cgroupId = 0n
  containerId = ''
  /** Uid of the pod, as the kubelet names its cgroups by it. */
  podUid = ''
  tlsVersion = ''
  cluster = ''
  node = ''
  /** Free for whoever takes in the segments: what it keeps of this connection. */
  kept: object | null = null

  constructor(id: bigint) {
    this.id = id
  }
}

export class Segment {
  readonly connection: ConnectionInfo
  readonly direction: Direction
  /** Byte offset in this direction since the connection was first seen; exact below 2^53. */
  readonly position: number
  /** Bytes that passed on the connection. */
  readonly length: number
  /** The first bytes of them, `length` or fewer. A view: it pins the batch it came in. */
  readonly payload: Buffer
  /** Capture time, whole µs since 1970. */
  readonly timeUs: number
  /** The rest below a µs, 0 to 999 ns; `timeUs` * 1000 + `timeRestNs` is the exact capture time. */
  readonly timeRestNs: number
  readonly flags: number

  constructor(
    connection: ConnectionInfo,
    direction: Direction,
    position: number,
    length: number,
    payload: Buffer,
    timeUs: number,
    timeRestNs: number,
    flags: number,
  ) {
    this.connection = connection
    this.direction = direction
    this.position = position
    this.length = length
    this.payload = payload
    this.timeUs = timeUs
    this.timeRestNs = timeRestNs
    this.flags = flags
  }
}

export const NO_BYTES: Buffer = Buffer.alloc(0)
