/** What others say of a capture, from the files beside it. `README.md` of the captures tells what each of them is. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { parse } from 'yaml'
import type { Flow } from '../../services/core/flow.js'

/** Files beside a capture whose names go on as `ending` says. */
export function beside(fullPath: string, ending: RegExp): string[] {
  const start = `${basename(fullPath)}.`
  return readdirSync(dirname(fullPath))
    .filter((name) => name.startsWith(start) && ending.test(name))
    .sort()
    .map((name) => join(dirname(fullPath), name))
}

/** Zeek's TSV, by the names in `#fields`, or in the first line that is no remark; `\xNN` stands for a byte. */
export function zeekRows(path: string): Record<string, string>[] {
  const rows: Record<string, string>[] = []
  let names: string[] | null = null
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    if (line.startsWith('#fields')) names = line.split('\t').slice(1)
    if (line === '' || line.startsWith('#')) continue
    const values = line.split('\t')
    if (names === null) names = values
    else rows.push(Object.fromEntries(names.map((name, i) => [name, zeekText(values[i] ?? '-')])))
  }
  return rows
}

function zeekText(value: string): string {
  return value.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

/** Field names of tshark to lists of values; `n`, `t`, `tcp`, `src`, `dst` are single. */
export type Frame = Readonly<Record<string, string[] | undefined>>

/** tshark's frames, none where there is no list. */
export function tsharkFrames(fullPath: string): Frame[] {
  const path = `${fullPath}.tshark.jsonl`
  if (!existsSync(path)) return []
  const lines = readFileSync(path, 'utf8').split('\n').filter(Boolean)
  return lines.map((line) => JSON.parse(line) as Frame)
}

export interface SuricataMatch {
  readonly count: number
  readonly fields: Readonly<Record<string, string>>
}

/** The `match` of each check of the suricata-verify tests of a capture, lists as `name[0]`. */
export function suricataMatches(fullPath: string): SuricataMatch[] {
  return beside(fullPath, /\.suricata\..*\.yaml$/).flatMap((path) => {
    const test = parse(readFileSync(path, 'utf8')) as {
      checks?: { filter?: { count?: number; match?: Record<string, unknown> } }[]
    }
    return (test.checks ?? []).flatMap(({ filter }) =>
      filter?.match === undefined ? [] : [{ count: Number(filter.count ?? 1), fields: texts(filter.match) }],
    )
  })
}

function texts(match: Readonly<Record<string, unknown>>): Record<string, string> {
  const fields: Record<string, string> = {}
  for (const [name, value] of Object.entries(match)) {
    if (Array.isArray(value)) for (const [i, each] of value.entries()) fields[`${name}[${i}]`] = String(each)
    else fields[name] = String(value)
  }
  return fields
}

/** `10.0.0.1:80`, as tshark writes an end: `[` and `]` are not used for IPv6. */
export const clientOf = ({ client_ip, client_port }: Flow): string => `${client_ip}:${client_port}`
export const serverOf = ({ server_ip, server_port }: Flow): string => `${server_ip}:${server_port}`
