import { addressToText } from '../../core/address.js'
import { ConnectionInfo, type Transport } from '../../core/segment.js'
import type { EndpointPair } from './endpoints.js'

/**
 * Addresses and a deterministic id for a connection of a capture: two reads of one file give the same ids, so that rows
 * can be compared. `ordinal` tells apart what shares ends and time.
 */
export function makeConnectionInfo(
  pair: EndpointPair,
  transport: Transport,
  clientIsA: boolean,
  timeUs: number,
  ordinal: number,
): ConnectionInfo {
  const client = addressToText(clientIsA ? pair.a : pair.b)
  const server = addressToText(clientIsA ? pair.b : pair.a)
  const clientPort = clientIsA ? pair.aPort : pair.bPort
  const serverPort = clientIsA ? pair.bPort : pair.aPort
  const name = `${transport} ${client} ${clientPort} ${server} ${serverPort} ${timeUs} ${ordinal}`
  const info = new ConnectionInfo(hash64(name))
  info.transport = transport
  info.source = 'pcap'
  info.clientIp = client
  info.clientPort = clientPort
  info.serverIp = server
  info.serverPort = serverPort
  return info
}

/** FNV-1a, 64 bits. */
function hash64(text: string): bigint {
  let hash = 0xcbf29ce484222325n
  for (let i = 0; i < text.length; i++) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(text.charCodeAt(i))) * 0x100000001b3n)
  }
  return hash
}

/** Ports that servers listen on without being below 1024; used only where no handshake was seen. */
const SERVER_PORTS = new Set([
  1433, 1521, 1883, 2181, 2375, 2379, 3000, 3128, 3306, 4222, 4317, 4318, 5000, 5432, 5671, 5672, 6379, 6443, 8000,
  8008, 8080, 8081, 8086, 8088, 8123, 8443, 8500, 8888, 9000, 9042, 9090, 9092, 9200, 9411, 11211, 15672, 27017, 50051,
  61616,
])

/** A guess, marked as such by the caller: is the end with port `a` the client? */
export function looksLikeClient(aPort: number, bPort: number): boolean {
  const rank = (port: number) => (port < 1024 ? 0 : SERVER_PORTS.has(port) ? 1 : 2)
  const [a, b] = [rank(aPort), rank(bPort)]
  return a !== b ? a > b : aPort >= bPort
}
