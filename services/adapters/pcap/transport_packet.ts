/** Where the transport header of a packet lies; one object, filled anew for every packet. */
export class TransportPacket {
  bytes: Buffer = Buffer.alloc(0)
  sourceAt = 0
  targetAt = 0
  /** 4 or 16. */
  addressSize = 4
  /** Start of the TCP or UDP header, end of the captured bytes, end of what was on the wire. */
  start = 0
  end = 0
  wireEnd = 0
  timeUs = 0
  timeRestNs = 0
}

export interface TransportHandler {
  tcp(packet: TransportPacket): void
  udp(packet: TransportPacket): void
}
