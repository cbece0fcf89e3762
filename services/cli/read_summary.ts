/** What a read found and what it could not decode, in a few lines. */
import type { Flow } from '../core/flow.js'
import type { ConnectionRow, CoverageRow } from '../core/rows.js'

const REASON_TEXTS: Record<string, string> = {
  no_payload: 'carried no bytes',
  unknown_protocol: 'speak a protocol that is not decoded yet',
  encrypted: 'are encrypted (capture them on the host to see inside)',
  too_little: 'showed too few bytes to tell the protocol',
  muted: 'have no bytes in the capture',
  withdrawn: 'turned out to be another protocol',
  decoder_failed: 'hit a fault of a decoder',
  limit: 'exceeded a limit',
}

class ProtocolCount {
  readonly protocol: string
  flows = 0

  constructor(protocol: string) {
    this.protocol = protocol
  }
}

export class ReadSummary {
  #flows = 0
  #incomplete = 0
  #connections = 0
  #gapBytes = 0
  readonly #protocols = new Map<string, ProtocolCount>()
  #last = new ProtocolCount('')
  readonly #undecoded = new Map<string, number>()
  readonly #skipped = new Map<string, { packets: number; bytes: number }>()

  flow(flow: Flow): void {
    this.#flows += 1
    if (flow.complete === 0) this.#incomplete += 1
    let count = this.#last
    if (count.protocol !== flow.protocol) {
      count = this.#protocols.get(flow.protocol) ?? new ProtocolCount(flow.protocol)
      this.#protocols.set(flow.protocol, count)
      this.#last = count
    }
    count.flows += 1
  }

  connection(row: ConnectionRow): void {
    this.#connections += 1
    this.#gapBytes += row.gap_bytes_to_client + row.gap_bytes_to_server
    if (row.undecoded_reason !== '') {
      this.#undecoded.set(row.undecoded_reason, (this.#undecoded.get(row.undecoded_reason) ?? 0) + 1)
    }
  }

  coverage(rows: readonly CoverageRow[]): void {
    for (const row of rows) {
      const known = this.#skipped.get(row.reason) ?? { packets: 0, bytes: 0 }
      this.#skipped.set(row.reason, { packets: known.packets + row.count, bytes: known.bytes + row.bytes })
    }
  }

  text(): string {
    const protocols = [...this.#protocols.values()].map(({ protocol, flows }) => `${protocol} ${flows}`).join(', ')
    const lines = [
      `${this.#flows} flows${protocols === '' ? '' : ` (${protocols})`} in ${this.#connections} connections`,
    ]
    if (this.#incomplete > 0) lines.push(`  ${this.#incomplete} flows are incomplete (a part was not seen)`)
    if (this.#gapBytes > 0) lines.push(`  ${this.#gapBytes} bytes are missing from the streams`)
    for (const [reason, count] of this.#undecoded) {
      lines.push(`  ${count} connections ${REASON_TEXTS[reason] ?? reason}`)
    }
    for (const [reason, { packets, bytes }] of this.#skipped) {
      lines.push(`  ${packets} packets, ${bytes} bytes: ${reason.replaceAll('_', ' ')}`)
    }
    return `${lines.join('\n')}\n`
  }
}
