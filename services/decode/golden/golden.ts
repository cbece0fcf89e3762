/**
 * Golden files: wire bytes and the flows they must give, one behaviour per file. In a `wire` block a line is `>` (client) or
 * `<` (server), `!` behind it where that end then closes, and the bytes as a JSON string with one character per byte. In a
 * `flows` block a line is method, host, target, status, request and response body bytes.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Flow } from '../../core/flow.js'
import { type Direction, TO_CLIENT, TO_SERVER } from '../../core/segment.js'

export interface Said {
  readonly direction: Direction
  readonly bytes: Buffer
  readonly closes: boolean
  readonly timeUs: number
}

export interface Golden {
  readonly name: string
  readonly wire: readonly Said[]
  readonly flows: readonly string[]
}

const STEP_US = 1000
const START_US = 1_790_000_000_000_000

export function readGoldens(folder: string): Golden[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.md'))
    .sort()
    .map((name) => {
      const text = readFileSync(join(folder, name), 'utf8')
      const wire = block(text, 'wire').map((line, i): Said => {
        const match = /^([<>])(!?) (".*")$/.exec(line)
        if (match === null) throw new Error(`${name}: not a wire line: ${line}`)
        const direction = match[1] === '>' ? TO_SERVER : TO_CLIENT
        const bytes = Buffer.from(JSON.parse(match[3]) as string, 'latin1')
        return { direction, bytes, closes: match[2] === '!', timeUs: START_US + i * STEP_US }
      })
      return { name: name.slice(0, -3), wire, flows: block(text, 'flows') }
    })
}

function block(text: string, kind: string): string[] {
  const match = new RegExp(`\`\`\`${kind}\n([\\s\\S]*?)\`\`\``).exec(text)
  return match === null ? [] : match[1].split('\n').filter(Boolean)
}

export function flowText(flow: Flow): string {
  return `${flow.method} ${flow.host} ${flow.resource} ${flow.status_code} ${flow.req_bytes} ${flow.resp_bytes}`
}
