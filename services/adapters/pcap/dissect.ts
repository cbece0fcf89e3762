/**
 * From link layer to TCP and UDP: finds the innermost IP packet of a record, through tags and the usual tunnels, and hands
 * its transport header to the trackers. Checksums are not verified: with offloading, captures hold wrong ones.
 */
import type { PacketRecord } from './capture_file.js'
import { LinkLayers } from './link_layers.js'
import { Network } from './network.js'
import type { SkipCounter } from './skipped.js'
import type { TransportHandler } from './transport_packet.js'
import { Tunnels } from './tunnels.js'

export class Dissector {
  readonly #network: Network
  readonly #links: LinkLayers

  constructor(handler: TransportHandler, skipped: SkipCounter) {
    this.#network = new Network(handler, skipped)
    this.#links = new LinkLayers(this.#network)
    this.#network.tunnels = new Tunnels(this.#network, this.#links)
  }

  packet(record: PacketRecord): void {
    this.#network.begin(record.timeUs, record.timeRestNs)
    this.#links.frame(record.linkType, record.bytes, record.start, record.end, record.start + record.wireLength)
  }

  /** Datagrams whose fragments never became whole are counted at the end of the capture. */
  finish(): void {
    this.#network.finish()
  }
}
