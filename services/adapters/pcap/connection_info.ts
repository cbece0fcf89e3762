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

/** Two lanes of 32 bits that stir each other at the end (after MurmurHash3's finaliser); no BigInt per character. */
function hash64(text: string): bigint {
  let high = 0x9e3779b9 | 0
  let low = 0x85ebca6b | 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    high = Math.imul(high ^ code, 0xcc9e2d51)
    high ^= high >>> 15
    low = Math.imul(low ^ code, 0x1b873593)
    low ^= low >>> 13
  }
  const top = finish(high ^ (low >>> 7)) >>> 0
  const bottom = finish(low ^ top) >>> 0
  return (BigInt(top) << 32n) | BigInt(bottom)
}

function finish(hash: number): number {
  let mixed = hash
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return mixed ^ (mixed >>> 16)
}

/** Ports that servers listen on without being below 1024; used only where no handshake was seen. */
const SERVER_PORTS = new Set([
  1433, 1521, 1883, 2181, 2375, 2379, 3000, 3128, 3306, 4222, 4317, 4318, 5000, 5432, 5671, 5672, 6379, 6443, 8000,
  8008, 8080, 8081, 8086, 8088, 8123, 8443, 8500, 8888, 9000, 9042, 9090, 9092, 9200, 9411, 11211, 15672, 27017, 50051,
  61616,
])

/** How much like a client's the first port looks: above 0 more than the second's, below 0 less, 0 equally. */
export function clientRank(aPort: number, bPort: number): number {
  return rank(aPort) - rank(bPort)
}

function rank(port: number): number {
  return port < 1024 ? 0 : SERVER_PORTS.has(port) ? 1 : 2
}
