/**
 * Segments as pcapng, for tools that want packets: TCP made up around the bytes (handshake, numbers that follow positions,
 * acknowledgements, FIN or RST). Missing bytes show as a jump of the sequence number; the moment of capture is kept to the ns.
 */
import { addressToBytes } from '../../core/address.js'
import {
  type ConnectionInfo,
  type Direction,
  NO_BYTES,
  opposite,
  type Segment,
  SegmentFlag,
  TO_CLIENT,
  TO_SERVER,
} from '../../core/segment.js'
import { type Ends, PacketOutput } from './packet_output.js'

/** Payload of one packet: what fits an Ethernet frame of 1500 bytes with IPv6 and TCP. */
const PACKET_BYTES_MAX = 1440
/** What fits beside UDP's header, and in IPv4 beside the IP header too. */
const DATAGRAM4_BYTES_MAX = 65_535 - 28
const DATAGRAM6_BYTES_MAX = 65_535 - 8
/** Connections whose numbers are remembered; the one begun first is forgotten and, should it speak again, begun anew. */
const CONNECTIONS_MAX = 1 << 18
/** Segments of connections whose addresses are not known yet wait for them; beyond it they go out with none. */
const UNBOUND_BYTES_MAX = 64 << 20
const UNBOUND_SEGMENTS_MAX = 65_536

const FIN = 0x01
const SYN = 0x02
const RST = 0x04
const PSH = 0x08
const ACK = 0x10

/** Where each direction's numbers begin; the SYN takes the one before position 0. */
const INITIAL = [1_000_000, 2_000_000]
/** Odd, so that every life of the same ports begins elsewhere. */
const LIFE_STEP = 0x9e3779b1

class Conversation implements Ends {
  readonly ip: readonly [Buffer, Buffer]
  readonly port: readonly [number, number]
  readonly #life: number
  /** Position behind what was written, by direction; the FIN counts as one more. */
  readonly next: [number, number] = [0, 0]
  readonly closed: [boolean, boolean] = [false, false]
  greeted = false
  /** Comment that its first packet is still to carry. */
  about = ''

  constructor(info: ConnectionInfo, life: number) {
    const client = addressToBytes(info.clientIp)
    const server = addressToBytes(info.serverIp)
    const v6 = client.length === 16 || server.length === 16
    this.ip = [widen(client, v6), widen(server, v6)]
    this.port = [info.clientPort, info.serverPort]
    this.#life = life
  }

  seq(direction: Direction, position: number): number {
    return (INITIAL[direction] + 1 + Math.imul(this.#life, LIFE_STEP) + (position % 2 ** 32) + 2 ** 33) % 2 ** 32
  }
}

/** An end that was never bound is written as the unspecified address; IPv4 beside IPv6 becomes v4-mapped. */
function widen(address: Buffer, v6: boolean): Buffer {
  if (!v6) return address.length === 4 ? address : Buffer.alloc(4)
  if (address.length === 16) return address
  const wide = Buffer.alloc(16)
  if (address.length === 4) {
    wide.writeUInt16BE(0xffff, 10)
    address.copy(wide, 12)
  }
  return wide
}

export interface PcapngOptions {
  /** Comment of the whole file. */
  readonly about?: string
  /** Comment of the first packet of a connection; `''` for none. */
  readonly aboutConnection?: (info: ConnectionInfo) => string
  /** By address as text: what readers that resolve names show for it. */
  readonly names?: ReadonlyMap<string, string>
}

/**
 * Two captures of one connection (at both ends) have the same addresses and come out as one conversation with every packet
 * twice, which readers take for retransmissions.
 */
export class PcapngWriter {
  readonly #out: PacketOutput
  readonly #conversations = new Map<bigint, Conversation>()
  /** Lives of the same ports so far, and how many of the present one's connections are open. */
  readonly #lives = new Map<string, { number: number; open: number }>()
  readonly #unbound = new Map<bigint, Segment[]>()
  #unboundBytes = 0
  #unboundSegments = 0
  readonly #aboutConnection: (info: ConnectionInfo) => string
  /** Of unix sockets: they have no addresses a packet could carry. */
  skippedSegments = 0
  /** Bytes that passed and are not in the file. */
  missingBytes = 0

  /** Replaces an existing file; only its owner may read it. Throws KlartextError `UNWRITABLE`, as all that writes. */
  constructor(path: string, { about = '', aboutConnection = () => '', names = new Map() }: PcapngOptions = {}) {
    this.#out = new PacketOutput(path, about)
    this.#out.names([...names].map(([address, name]) => [addressToBytes(address), name]))
    this.#aboutConnection = aboutConnection
  }

  write(segments: readonly Segment[]): void {
    for (const segment of segments) {
      const info = segment.connection
      if (info.transport === 'unix') this.skippedSegments += 1
      else if (info.clientIp === '' && info.serverIp === '') this.#wait(segment)
      else {
        if (this.#unbound.size > 0) this.#release(info)
        this.#segment(info, segment)
      }
    }
  }

  close(): void {
    this.#releaseAll()
    this.#out.close()
  }

  #wait(segment: Segment): void {
    const { id } = segment.connection
    // Its addresses are known from before, or were given up.
    if (this.#conversations.has(id)) return this.#segment(segment.connection, segment)
    const waiting = this.#unbound.get(id)
    if (waiting === undefined) this.#unbound.set(id, [segment])
    else waiting.push(segment)
    this.#unboundBytes += segment.payload.length
    this.#unboundSegments += 1
    if (this.#unboundBytes > UNBOUND_BYTES_MAX || this.#unboundSegments > UNBOUND_SEGMENTS_MAX) this.#releaseAll()
  }

  #release(info: ConnectionInfo): void {
    const waiting = this.#unbound.get(info.id)
    if (waiting === undefined) return
    this.#unbound.delete(info.id)
    for (const segment of waiting) {
      this.#unboundBytes -= segment.payload.length
      this.#unboundSegments -= 1
      this.#segment(info, segment)
    }
  }

  #releaseAll(): void {
    for (const [segment] of this.#unbound.values()) this.#release(segment.connection)
  }

  #segment(info: ConnectionInfo, segment: Segment): void {
    const conversation = this.#conversation(info)
    this.#out.setTime(segment.timeUs, segment.timeRestNs)
    this.#comment(conversation, segment)
    if (info.transport === 'udp') this.#datagram(conversation, segment)
    else this.#tcp(conversation, segment)
    if (conversation.closed[0] && conversation.closed[1]) this.#forget(info)
  }

  /** Who talks, before the first packet of a connection; what is missing, before the first packet behind it. */
  #comment(to: Conversation, { direction, flags, position, length, payload }: Segment): void {
    if (to.about !== '' && (payload.length > 0 || !to.greeted)) {
      this.#out.comment(to.about)
      to.about = ''
    }
    const isNew = !to.greeted && (flags & SegmentFlag.MIDSTREAM) !== 0
    const before = to.next[direction] > 0 || !isNew ? Math.max(0, position - to.next[direction]) : 0
    const within = length - payload.length
    this.missingBytes += before + within
    if (payload.length === 0) return
    const lines: string[] = []
    if (before > 0) lines.push(`${before} bytes before this were not captured`)
    if (within > 0) lines.push(`${within} bytes behind this were not kept`)
    if (lines.length > 0 && to.greeted) this.#out.comment(`klartext: ${lines.join('; ')}`)
  }

  #conversation(info: ConnectionInfo): Conversation {
    const known = this.#conversations.get(info.id)
    if (known !== undefined) return known
    if (this.#conversations.size >= CONNECTIONS_MAX) {
      for (const id of this.#conversations.keys()) {
        this.#conversations.delete(id)
        break
      }
    }
    const name = nameOf(info)
    let life = this.#lives.get(name)
    if (life === undefined) {
      if (this.#lives.size >= CONNECTIONS_MAX) this.#lives.clear()
      life = { number: 0, open: 0 }
      this.#lives.set(name, life)
    } else if (life.open === 0) life.number += 1
    life.open += 1
    const conversation = new Conversation(info, life.number)
    conversation.about = this.#aboutConnection(info)
    this.#conversations.set(info.id, conversation)
    return conversation
  }

  #forget(info: ConnectionInfo): void {
    this.#conversations.delete(info.id)
    const life = this.#lives.get(nameOf(info))
    if (life !== undefined) life.open -= 1
  }

  #tcp(to: Conversation, segment: Segment): void {
    const { direction, flags, position, payload } = segment
    if (segment.length === 0 && (flags & (SegmentFlag.BIND | SegmentFlag.CLOSE)) === SegmentFlag.BIND) return
    if (!to.greeted) {
      to.greeted = true
      if ((flags & SegmentFlag.MIDSTREAM) === 0) this.#handshake(to)
    }
    const back = opposite(direction)
    for (let at = 0; at < payload.length; at += PACKET_BYTES_MAX) {
      const part = payload.subarray(at, at + PACKET_BYTES_MAX)
      this.#packet(to, direction, PSH | ACK, position + at, part)
    }
    to.next[direction] = Math.max(to.next[direction], position + segment.length)
    if (payload.length > 0) this.#packet(to, back, ACK, to.next[back], NO_BYTES)
    if ((flags & SegmentFlag.CLOSE) === 0 || to.closed[direction]) return
    to.closed[direction] = true
    const reset = (flags & SegmentFlag.RESET) !== 0
    this.#packet(to, direction, reset ? RST | ACK : FIN | ACK, to.next[direction], NO_BYTES)
    if (reset) return
    to.next[direction] += 1
    this.#packet(to, back, ACK, to.next[back], NO_BYTES)
  }

  #handshake(to: Conversation): void {
    this.#out.tcp(to, TO_SERVER, SYN, to.seq(TO_SERVER, -1), 0, NO_BYTES)
    this.#packet(to, TO_CLIENT, SYN | ACK, -1, NO_BYTES)
    this.#packet(to, TO_SERVER, ACK, 0, NO_BYTES)
  }

  #packet(to: Conversation, direction: Direction, tcpFlags: number, position: number, data: Buffer): void {
    const back = opposite(direction)
    this.#out.tcp(to, direction, tcpFlags, to.seq(direction, position), to.seq(back, to.next[back]), data)
  }

  /** What only tells of the conversation is no datagram. */
  #datagram(to: Conversation, { direction, flags, length, payload }: Segment): void {
    if ((flags & SegmentFlag.CLOSE) !== 0) to.closed[direction] = true
    if (length === 0 && (flags & (SegmentFlag.CLOSE | SegmentFlag.BIND)) !== 0) return
    const whole = Math.min(length, to.ip[0].length === 4 ? DATAGRAM4_BYTES_MAX : DATAGRAM6_BYTES_MAX)
    const data = payload.subarray(0, whole)
    this.#out.udp(to, direction, data, whole - data.length)
  }
}

function nameOf(info: ConnectionInfo): string {
  return `${info.transport} ${info.clientIp} ${info.clientPort} ${info.serverIp} ${info.serverPort}`
}
