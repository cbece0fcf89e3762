/** A flow as one line of a table for people. */
import type { Flow } from '../core/flow.js'
import { isoTime } from '../core/wire/flow_json.js'
import { printable } from './output.js'

export const FLOW_TABLE_HEAD =
  'TIME             CLIENT                 SERVER                 PROTO  STATUS   LATENCY  REQUEST'

export function flowLine(flow: Flow): string {
  const time = isoTime(flow.ts).slice(11, 26)
  const client = `${flow.client_ip}:${flow.client_port}`.padEnd(21)
  const server = `${flow.server_ip}:${flow.server_port}`.padEnd(21)
  const status = String(flow.status_code === 0 ? flow.outcome : flow.status_code).padStart(6)
  const latency = `${(flow.latency_us / 1000).toFixed(1)} ms`.padStart(10)
  const mark = flow.complete === 1 ? '' : ' (incomplete)'
  const request = printable(`${flow.method} ${flow.host}${flow.resource}`.trim())
  return `${time}  ${client}  ${server}  ${flow.protocol.padEnd(5)}  ${status}${latency}  ${request}${mark}`
}
