/** Redis: commands one by one, and in pipelines of 50. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PacketFile } from './packet_file.js'
import { sideBySide } from './side_by_side.js'

const CONNECTIONS = 200
/** To take tshark about as long. */
const TSHARK_SHARES: Readonly<Record<number, number>> = { 1: 0.06, 50: 0.35 }

export async function main(words: readonly string[]): Promise<number> {
  const megabytes = Number(words[0] ?? 200)
  const folder = mkdtempSync(join(tmpdir(), 'klartext-bench-'))
  try {
    for (const depth of [1, 50]) {
      const [path, smallPath] = [join(folder, 'large.pcap'), join(folder, 'small.pcap')]
      await sideBySide({
        label: depth === 1 ? 'commands one by one' : `pipelines of ${depth}`,
        things: 'commands',
        path,
        exchanges: write(path, megabytes * 1e6, depth),
        smallPath,
        smallExchanges: write(smallPath, megabytes * 1e6 * TSHARK_SHARES[depth], depth),
        tshark: '-Y resp -T fields -e frame.time_epoch -e tcp.stream -e resp.bulk_string.value -e resp.string',
        columns: 'ts,conn_id,method,resource,status_code,error',
      })
    }
    return 0
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** As clients send: SET and GET in turn, keys with a number, values of 30 bytes. */
function write(path: string, sizeBytes: number, depth: number): number {
  const file = new PacketFile(path, 6379)
  for (let connection = 0; connection < CONNECTIONS; connection++) file.open(connection)
  let commands = 0
  for (let turn = 0; file.sizeBytes < sizeBytes; turn++) {
    let asked = ''
    let answered = ''
    for (let i = 0; i < depth; i++) {
      const key = `user:${1_000_000 + commands}:profile`
      const value = `value-${commands}`.padEnd(30, '.')
      if (commands % 2 === 0) {
        asked += `*3\r\n$3\r\nSET\r\n$${key.length}\r\n${key}\r\n$30\r\n${value}\r\n`
        answered += '+OK\r\n'
      } else {
        asked += `*2\r\n$3\r\nGET\r\n$${key.length}\r\n${key}\r\n`
        answered += `$30\r\n${value}\r\n`
      }
      commands += 1
    }
    file.say(turn % CONNECTIONS, true, Buffer.from(asked))
    file.say(turn % CONNECTIONS, false, Buffer.from(answered))
  }
  file.close()
  return commands
}
