/**
 * Golden files: wire bytes and the flows they must give, one behaviour per file. In a `wire` block a line is `>` (client) or
 * `<` (server), `!` behind it where that end then closes, and the bytes as a JSON string with one character per byte (`hex`
 * in front: two digits per byte, blanks between them as you like). A `wire udp` block holds datagrams. In a `flows` block a line is method, host,
 * resource, status, request and response body bytes, a text with blanks in it as a JSON string and an empty one as `-`; then
 * whatever else is to be checked, as `column=value` or `attrs.name=value`.
 *
 * Some plays cannot give equal flows for some behaviours. Then the file says so and why, in a line of its own:
 * `Excused from late requests: the answer to HEAD ...` (see EXCUSABLE). Nothing excuses from inventing.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Flow } from '../../core/flow.js'
import {
  ConnectionInfo,
  type Direction,
  NO_BYTES,
  Segment,
  SegmentFlag,
  TO_CLIENT,
  TO_SERVER,
} from '../../core/segment.js'

export interface Said {
  readonly direction: Direction
  readonly bytes: Buffer
  readonly closes: boolean
  readonly timeUs: number
}

/** One line of a `flows` block. */
export interface ExpectedFlow {
  readonly text: string
  readonly resource: string
  readonly statusCode: number
  /** What is checked beyond the six usual columns: `outcome`, `attrs.db.namespace` ... */
  readonly more: readonly string[]
}

/**
 * `late requests`, `late answers`: the same flows come out. `resuming`: what is over before a loss stays, what begins after
 * it is found.
 */
export const EXCUSABLE = ['late requests', 'late answers', 'resuming'] as const
export type Excusable = (typeof EXCUSABLE)[number]

export interface Golden {
  readonly name: string
  readonly path: string
  /** The sentences between title and wire: why this matters. */
  readonly why: string
  readonly transport: 'tcp' | 'udp'
  readonly wire: readonly Said[]
  readonly flows: readonly ExpectedFlow[]
  readonly excused: ReadonlySet<Excusable>
}

const STEP_US = 1000
const START_US = 1_790_000_000_000_000

export function readGoldens(folder: string): Golden[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.md'))
    .sort()
    .map((name) => parseGolden(name, join(folder, name), readFileSync(join(folder, name), 'utf8')))
}

function parseGolden(name: string, path: string, text: string): Golden {
  const datagrams = block(text, 'wire udp')
  const wire = (datagrams.length > 0 ? datagrams : block(text, 'wire')).map((line, i) => wireLine(name, line, i))
  return {
    name: name.slice(0, -3),
    path,
    why: /^# .+\n([\s\S]*?)```/.exec(text)?.[1].trim() ?? '',
    transport: datagrams.length > 0 ? 'udp' : 'tcp',
    wire,
    flows: block(text, 'flows').map(expectedFlow),
    excused: excuses(name, text),
  }
}

function excuses(file: string, text: string): Set<Excusable> {
  const excused = new Set<Excusable>()
  for (const [line, what] of text.matchAll(/^Excused from ([a-z ]+): \S.*$/gm)) {
    const known = EXCUSABLE.find((each) => each === what)
    if (known === undefined) throw new Error(`${file}: ${line}: there is no such play; ${EXCUSABLE.join(', ')}`)
    excused.add(known)
  }
  return excused
}

/** Replaces the expected flows in the file; what is checked beyond the usual columns stays, line by line. */
export function updateGolden(golden: Golden, flows: readonly Flow[]): boolean {
  const text = readFileSync(golden.path, 'utf8')
  const lines = flowTexts(flows, golden.flows).map((line) => `${line}\n`)
  const updated = text.replace(/```flows\n[\s\S]*?```/, () => `\`\`\`flows\n${lines.join('')}\`\`\``)
  if (updated !== text) writeFileSync(golden.path, updated)
  return updated !== text
}

/** One segment per wire line, and one for each end of a direction. */
export function segmentsOf(golden: Golden): Segment[] {
  const info = new ConnectionInfo(1n)
  Object.assign(info, { clientIp: '10.0.0.1', clientPort: 40_000, serverIp: '10.0.0.2', serverPort: 80 })
  info.transport = golden.transport
  const positions = [0, 0]
  const segments: Segment[] = []
  for (const { direction, bytes, closes, timeUs } of golden.wire) {
    const position = positions[direction]
    positions[direction] += bytes.length
    if (bytes.length > 0 || golden.transport === 'udp')
      segments.push(new Segment(info, direction, position, bytes.length, bytes, timeUs, 0, 0))
    if (closes)
      segments.push(new Segment(info, direction, positions[direction], 0, NO_BYTES, timeUs, 0, SegmentFlag.CLOSE))
  }
  return segments
}

function block(text: string, kind: string): string[] {
  const match = new RegExp(`\`\`\`${kind}\n([\\s\\S]*?)\`\`\``).exec(text)
  return match === null ? [] : match[1].split('\n').filter(Boolean)
}

function wireLine(file: string, line: string, index: number): Said {
  const match = /^([<>])(!?) (?:(".*")|hex ([0-9a-f ]*))$/i.exec(line)
  if (match === null) throw new Error(`${file}: not a wire line: ${line}`)
  const bytes =
    match[3] !== undefined
      ? Buffer.from(JSON.parse(match[3]) as string, 'latin1')
      : Buffer.from(match[4].replaceAll(' ', ''), 'hex')
  const direction = match[1] === '>' ? TO_SERVER : TO_CLIENT
  return { direction, bytes, closes: match[2] === '!', timeUs: START_US + index * STEP_US }
}

/** Words between blanks; a part in double quotes is a JSON string and may hold blanks. */
const WORD = /(?:[^\s"]|"(?:[^"\\]|\\.)*")+/g

function expectedFlow(line: string): ExpectedFlow {
  const words = line.match(WORD) ?? []
  if (words.length < 6) throw new Error(`not a flow line: ${line}`)
  const resource = words[2] === '-' ? '' : words[2].startsWith('"') ? (JSON.parse(words[2]) as string) : words[2]
  const more = words.slice(6).map((word) => word.slice(0, word.indexOf('=')))
  return { text: words.join(' '), resource, statusCode: Number(words[3]), more }
}

/** A flow as a line; `more` names what to show beyond the usual columns. */
export function flowText(flow: Flow, more: readonly string[] = []): string {
  const { method, host, resource, status_code, req_bytes, resp_bytes } = flow
  const usual = [method, host, resource, status_code, req_bytes, resp_bytes].map(word)
  return [...usual, ...more.map((name) => `${name}=${word(valueOf(flow, name))}`)].join(' ')
}

/** All of them, each with what its expected line shows. */
export function flowTexts(flows: readonly Flow[], expected: readonly ExpectedFlow[]): string[] {
  return flows.map((flow, i) => flowText(flow, expected[i]?.more))
}

function valueOf(flow: Flow, name: string): string | number {
  const dot = name.indexOf('.')
  const column = dot < 0 ? name : name.slice(0, dot)
  const value = (flow as unknown as Record<string, unknown>)[column]
  if (dot >= 0) return (value as Record<string, string> | undefined)?.[name.slice(dot + 1)] ?? ''
  return Array.isArray(value) ? value.join(',') : (value as string | number)
}

function word(value: string | number): string {
  const text = String(value)
  if (text === '') return '-'
  return /^[!#-~]+$/.test(text) && text !== '-' ? text : JSON.stringify(text)
}
