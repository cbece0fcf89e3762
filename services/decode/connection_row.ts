/** The row of a connection that is over. */
import type { CloseReason } from '../core/protocol.js'
import type { ConnectionRow, UndecodedReason } from '../core/rows.js'
import type { Connection } from './connection.js'
import { FlowContext } from './flow_context.js'

export function connectionRow(connection: Connection, reason: CloseReason | 'open'): ConnectionRow {
  const context = connection.context ?? new FlowContext(connection.info, connection.turned === 1)
  const { toServer, toClient } = connection
  return {
    ts: connection.firstUs,
    end_ts: connection.lastUs,
    cluster: context.cluster,
    node: context.node,
    capture_side: context.captureSide,
    capture_source: context.captureSource,
    conn_id: context.connId,
    transport: context.transport,
    client_ip: context.clientIp,
    client_port: context.clientPort,
    server_ip: context.serverIp,
    server_port: context.serverPort,
    pid: context.pid,
    comm: context.comm,
    container: context.container,
    protocol: connection.protocol?.name ?? '',
    undecoded_reason: connection.exchanges > 0 ? connection.reason : undecodedReason(connection),
    tls_version: connection.tlsVersion !== '' ? connection.tlsVersion : context.tlsVersion,
    bytes_to_server: toServer.passedBytes,
    bytes_to_client: toClient.passedBytes,
    gap_bytes_to_server: toServer.gapBytes,
    gap_bytes_to_client: toClient.gapBytes,
    exchanges: connection.exchanges,
    state: reason,
    midstream: connection.midstream ? 1 : 0,
  }
}

function undecodedReason(connection: Connection): UndecodedReason {
  if (connection.reason !== '') return connection.reason
  const { toServer, toClient } = connection
  const passed = toServer.passedBytes + toClient.passedBytes
  if (passed === 0) return 'no_payload'
  if (passed === toServer.gapBytes + toClient.gapBytes) return 'muted'
  return toServer.broken || toClient.broken ? 'unknown_protocol' : 'too_little'
}
