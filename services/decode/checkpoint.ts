/** A connection as bytes and back: what another worker needs to go on where this one stopped. Versioned as a whole. */
import { NewerSchemaError } from '../core/errors.js'
import { Exchange } from '../core/exchange.js'
import type { Handover } from '../core/protocol.js'
import type { UndecodedReason } from '../core/rows.js'
import { type CaptureSide, ConnectionInfo, type Transport } from '../core/segment.js'
import { StateReader, StateWriter } from '../core/state.js'
import type { Accounting } from './accounting.js'
import { Connection, type Stage } from './connection.js'
import { Evidence } from './evidence.js'

const VERSION = 3

export function saveConnection(connection: Connection): Buffer {
  const out = new StateWriter()
  out.u8(VERSION)
  saveInfo(connection.info, out)
  out.u8(
    (connection.mayTurn ? 1 : 0) |
      (connection.midstream ? 2 : 0) |
      (connection.withdrawn ? 4 : 0) |
      (connection.reset ? 8 : 0) |
      (connection.staysUnbound ? 16 : 0) |
      (connection.turned === 1 ? 32 : 0) |
      (connection.opened ? 64 : 0),
  )
  out.string(connection.stage)
  out.string(connection.reason)
  out.string(connection.tlsVersion)
  out.number(connection.exchanges)
  out.number(connection.firstUs)
  out.number(connection.lastUs)
  out.number(connection.unboundSinceUs)
  out.number(connection.unbound.length)
  for (const exchange of connection.unbound) out.string(JSON.stringify(exchange))
  out.bool(connection.evidence !== null)
  connection.evidence?.save(out)
  connection.toServer.save(out)
  connection.toClient.save(out)
  out.string(connection.handover === null ? '' : JSON.stringify(connection.handover))
  out.string(connection.protocol?.name ?? '')
  if (connection.decoder !== null) {
    const decoder = new StateWriter()
    connection.decoder.save(decoder)
    out.bytes(decoder.finish())
  } else out.bytes(NO_STATE)
  return out.finish()
}

export interface RestoredConnection {
  readonly connection: Connection
  readonly protocol: string
  readonly decoderState: Buffer
}

/** Throws NewerSchemaError for what a newer klartext saved: it would go on with it, and so must this one or wait. */
export function checkVersion(bytes: Buffer): void {
  const version = new StateReader(bytes).u8()
  if (version > VERSION) throw new NewerSchemaError('the state of a connection has version', version, VERSION)
}

/** null where the bytes are of another version or damaged. The decoder is still to be made. */
export function restoreConnection(id: bigint, bytes: Buffer, accounting: Accounting): RestoredConnection | null {
  const state = new StateReader(bytes)
  if (state.u8() !== VERSION) return null
  const info = restoreInfo(id, state)
  const connection = new Connection(info, 0, 0, accounting)
  const bits = state.u8()
  connection.mayTurn = (bits & 1) !== 0
  connection.midstream = (bits & 2) !== 0
  connection.withdrawn = (bits & 4) !== 0
  connection.reset = (bits & 8) !== 0
  connection.staysUnbound = (bits & 16) !== 0
  connection.turned = (bits & 32) !== 0 ? 1 : 0
  connection.opened = (bits & 64) !== 0
  connection.stage = state.string() as Stage
  connection.reason = state.string() as UndecodedReason
  connection.tlsVersion = state.string()
  connection.exchanges = state.number()
  connection.firstUs = state.number()
  connection.lastUs = state.number()
  connection.unboundSinceUs = state.number()
  const unbound = state.number()
  if (unbound > 0) connection.unbound = []
  for (let i = 0; i < unbound && !state.failed; i++) connection.unbound.push(exchangeFrom(state.string()))
  if (state.bool()) {
    connection.evidence = new Evidence()
    connection.evidence.restore(state)
  }
  connection.toServer.restore(state, info)
  connection.toClient.restore(state, info)
  connection.handover = handoverFrom(state.string())
  const protocol = state.string()
  const decoderState = state.bytes()
  connection.saved = true
  if (state.finished) return { connection, protocol, decoderState }
  connection.toServer.release()
  connection.toClient.release()
  return null
}

function exchangeFrom(json: string): Exchange {
  return json === '' ? new Exchange() : Object.assign(new Exchange(), JSON.parse(json))
}

function handoverFrom(json: string): Handover | null {
  if (json === '') return null
  const { protocol, exchange } = JSON.parse(json) as Handover
  return { protocol, exchange: Object.assign(new Exchange(), exchange) }
}

function saveInfo(info: ConnectionInfo, out: StateWriter): void {
  for (const name of INFO_TEXTS) out.string(info[name])
  out.number(info.clientPort)
  out.number(info.serverPort)
  out.number(info.pid)
  out.bigint(BigInt.asUintN(64, info.processStartNs))
  out.bigint(BigInt.asUintN(64, info.cgroupId))
}

function restoreInfo(id: bigint, state: StateReader): ConnectionInfo {
  const info = new ConnectionInfo(id)
  const texts = INFO_TEXTS.map(() => state.string())
  info.transport = texts[0] as Transport
  info.side = texts[1] as CaptureSide
  for (const [i, name] of INFO_TEXTS.entries()) if (name !== 'transport' && name !== 'side') info[name] = texts[i]
  info.clientPort = state.number()
  info.serverPort = state.number()
  info.pid = state.number()
  info.processStartNs = BigInt.asIntN(64, state.bigint())
  info.cgroupId = BigInt.asIntN(64, state.bigint())
  return info
}

const INFO_TEXTS = [
  'transport',
  'side',
  'source',
  'clientIp',
  'serverIp',
  'comm',
  'containerId',
  'podUid',
  'tlsVersion',
  'cluster',
  'node',
] as const
const NO_STATE: Buffer = Buffer.alloc(0)
