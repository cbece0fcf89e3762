/** DNS: lookups over UDP, each from a port of its own as resolvers do, and many from one port as forwarders do. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PacketFile } from './packet_file.js'
import { sideBySide } from './side_by_side.js'

const TSHARK_SHARE = 0.1

export async function main(words: readonly string[]): Promise<number> {
  const megabytes = Number(words[0] ?? 60)
  const folder = mkdtempSync(join(tmpdir(), 'klartext-bench-'))
  try {
    for (const ports of [40_000, 200]) {
      const [path, smallPath] = [join(folder, 'large.pcap'), join(folder, 'small.pcap')]
      await sideBySide({
        label: `lookups from ${ports} ports`,
        things: 'lookups',
        path,
        exchanges: write(path, megabytes * 1e6, ports),
        smallPath,
        smallExchanges: write(smallPath, megabytes * 1e6 * TSHARK_SHARE, ports),
        tshark:
          '-Y dns -T fields -e frame.time_epoch -e dns.id -e dns.qry.name -e dns.qry.type -e dns.flags.rcode -e dns.a',
        columns: 'ts,conn_id,resource,method,status_code,attrs',
      })
    }
    return 0
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function write(path: string, sizeBytes: number, ports: number): number {
  const file = new PacketFile(path, 53)
  let lookups = 0
  for (; file.sizeBytes < sizeBytes; lookups++) {
    const port = 10_000 + (lookups % ports)
    const id = (lookups * 7919) % 65_536
    const name = [`host${lookups % 5000}`, 'prod', 'example', 'com']
    file.datagram(port, true, message(id, name, false))
    file.datagram(port, false, message(id, name, true))
  }
  file.close()
  return lookups
}

function message(id: number, name: readonly string[], response: boolean): Buffer {
  const labels = name.map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]))
  const header = Buffer.alloc(12)
  header.writeUInt16BE(id, 0)
  header.writeUInt16BE(response ? 0x8180 : 0x0100, 2)
  header.writeUInt16BE(1, 4)
  if (response) header.writeUInt16BE(2, 6)
  const question = Buffer.concat([...labels, Buffer.from([0, 0, 1, 0, 1])])
  const answer = Buffer.from('c00c00010001000000 3c0004c0000201'.replace(' ', ''), 'hex')
  return Buffer.concat([header, question, ...(response ? [answer, answer] : [])])
}
