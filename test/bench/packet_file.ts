/** Writes made-up packets into a pcap file: Ethernet, IPv4, TCP or UDP, without checksums. What benches of protocols read. */
import { closeSync, openSync, writeSync } from 'node:fs'

const BLOCK_BYTES = 1 << 20
const SERVER = 0x0a630001
const SYN = 2
const ACK = 16
const PSH_ACK = 24
/** Between two packets. */
const STEP_US = 3

export class PacketFile {
  readonly #file: number
  readonly #port: number
  readonly #block = Buffer.alloc(BLOCK_BYTES)
  readonly #seqs: number[][] = []
  #at = 0
  #timeUs = 1_790_000_000_000_000
  sizeBytes = 24

  constructor(path: string, serverPort: number) {
    this.#file = openSync(path, 'w')
    this.#port = serverPort
    const header = Buffer.alloc(24)
    header.writeUInt32LE(0xa1b2c3d4, 0)
    header.writeUInt16LE(2, 4)
    header.writeUInt16LE(4, 6)
    header.writeUInt32LE(262_144, 16)
    header.writeUInt32LE(1, 20)
    writeSync(this.#file, header)
  }

  /** Its handshake; connections are numbered from 0. */
  open(connection: number): void {
    this.#seqs[connection] = [1000, 5000]
    this.#tcp(connection, true, SYN, Buffer.alloc(0))
    this.#tcp(connection, false, SYN | ACK, Buffer.alloc(0))
    this.#tcp(connection, true, ACK, Buffer.alloc(0))
  }

  /** A segment with payload, and its acknowledgement. */
  say(connection: number, fromClient: boolean, payload: Buffer): void {
    this.#tcp(connection, fromClient, PSH_ACK, payload)
    this.#tcp(connection, !fromClient, ACK, Buffer.alloc(0))
  }

  datagram(clientPort: number, fromClient: boolean, payload: Buffer): void {
    const udp = this.#packet(17, 8 + payload.length, 0, fromClient)
    this.#ports(udp, clientPort, fromClient)
    this.#block.writeUInt16BE(8 + payload.length, udp + 4)
    this.#block.writeUInt16BE(0, udp + 6)
    payload.copy(this.#block, udp + 8)
  }

  #tcp(connection: number, fromClient: boolean, flags: number, payload: Buffer): void {
    const block = this.#block
    const tcp = this.#packet(6, 20 + payload.length, connection >> 8, fromClient)
    const seq = this.#seqs[connection]
    this.#ports(tcp, 20_000 + connection, fromClient)
    block.writeUInt32BE(seq[fromClient ? 0 : 1] >>> 0, tcp + 4)
    block.writeUInt32BE(seq[fromClient ? 1 : 0] >>> 0, tcp + 8)
    block[tcp + 12] = 0x50
    block[tcp + 13] = flags
    block.writeUInt16BE(65_000, tcp + 14)
    block.writeUInt32BE(0, tcp + 16)
    payload.copy(block, tcp + 20)
    seq[fromClient ? 0 : 1] += payload.length + (flags & SYN ? 1 : 0)
  }

  #ports(at: number, clientPort: number, fromClient: boolean): void {
    this.#block.writeUInt16BE(fromClient ? clientPort : this.#port, at)
    this.#block.writeUInt16BE(fromClient ? this.#port : clientPort, at + 2)
  }

  /** Headers up to IPv4; answers where its payload of `size` bytes goes. */
  #packet(protocol: number, size: number, host: number, fromClient: boolean): number {
    const block = this.#block
    const frame = 34 + size
    if (this.#at + 16 + frame > block.length) this.#flush()
    this.#timeUs += STEP_US
    const at = this.#at
    block.writeUInt32LE(Math.floor(this.#timeUs / 1e6), at)
    block.writeUInt32LE(this.#timeUs % 1e6, at + 4)
    block.writeUInt32LE(frame, at + 8)
    block.writeUInt32LE(frame, at + 12)
    const ip = at + 16 + 14
    block.fill(0, at + 16, ip + 20)
    block.writeUInt16BE(0x0800, ip - 2)
    block[ip] = 0x45
    block.writeUInt16BE(20 + size, ip + 2)
    block[ip + 8] = 64
    block[ip + 9] = protocol
    const client = 0x0a000001 + host
    block.writeUInt32BE(fromClient ? client : SERVER, ip + 12)
    block.writeUInt32BE(fromClient ? SERVER : client, ip + 16)
    this.#at = at + 16 + frame
    this.sizeBytes += 16 + frame
    return ip + 20
  }

  #flush(): void {
    writeSync(this.#file, this.#block, 0, this.#at)
    this.#at = 0
  }

  close(): void {
    this.#flush()
    closeSync(this.#file)
  }
}
