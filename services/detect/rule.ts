/**
 * A rule is one SQL file. Comments in front say what it looks for and how it runs:
 *
 *     -- Error burst: a service fails far more often than it usually does.
 *     -- severity: high
 *     -- every: 1m            how often it looks
 *     -- looks back: 1h       what {since} and {until} are apart
 *     -- suppress: 30m        so long the same subject is not told again
 *     -- attack: T1071        MITRE ATT&CK technique, where one fits
 *     -- param z Float64 4: standard deviations above the mean
 *     --
 *     -- What it cannot tell: ... (an empty comment ends what is read; what follows is for people)
 *
 * The statement answers subject, score, summary, evidence (flow ids) and attrs (a map), one row per finding.
 */
import { KlartextError } from '../core/errors.js'
import { SEVERITIES, type Severity } from '../core/finding.js'

export interface RuleParameter {
  readonly name: string
  /** ClickHouse type. */
  readonly type: string
  readonly value: number
  readonly meaning: string
}

export interface Rule {
  readonly name: string
  readonly title: string
  readonly description: string
  readonly severity: Severity
  readonly attack: string
  readonly everyUs: number
  readonly looksBackUs: number
  readonly suppressUs: number
  readonly parameters: readonly RuleParameter[]
  readonly sql: string
}

const UNIT_US: Readonly<Record<string, number>> = { s: 1e6, m: 60e6, h: 3600e6, d: 86_400e6 }
const KEYS = ['severity', 'every', 'looks back', 'suppress', 'attack']

/** Throws KlartextError `BAD_RULE` with the rule's name and what is wrong. */
export function parseRule(name: string, text: string): Rule {
  const bad = (what: string) => new KlartextError('BAD_RULE', `rule ${name}: ${what}`)
  if (!/^[a-z][a-z0-9_]*$/.test(name)) throw bad('its name must be lower-case words with underscores')
  const lines = text.split('\n')
  const head = lines
    .slice(
      0,
      lines.findIndex((line) => !line.startsWith('--')),
    )
    .map((line) => line.slice(2).trim())
  const title = /^([^:]+): (.+)$/.exec(head[0] ?? '')
  if (title === null) throw bad('its first line must be "-- Title: what it looks for."')
  const values = new Map<string, string>()
  const parameters: RuleParameter[] = []
  for (const line of head.slice(1)) {
    if (line === '') break
    const parameter = /^param (\w+) (\w+) (-?[\d.]+): (.+)$/.exec(line)
    if (parameter !== null) {
      const [, key, type, value, meaning] = parameter
      if (Number.isNaN(Number(value))) throw bad(`${value}, of the parameter ${key}, is no number`)
      parameters.push({ name: key, type, value: Number(value), meaning })
      continue
    }
    const field = /^([a-z ]+): (\S+)$/.exec(line)
    if (field === null || !KEYS.includes(field[1])) throw bad(`cannot read "${line}"; known: ${KEYS.join(', ')}, param`)
    values.set(field[1], field[2])
  }
  const severity = SEVERITIES.find((each) => each === values.get('severity'))
  if (severity === undefined) throw bad(`severity must be one of ${SEVERITIES.join(', ')}`)
  const span = (key: string): number => {
    const match = /^(\d+)([smhd])$/.exec(values.get(key) ?? '')
    if (match === null) throw bad(`"${key}" must be a span such as 30s, 5m, 1h`)
    return Number(match[1]) * UNIT_US[match[2]]
  }
  const everyUs = span('every')
  if (everyUs === 0) throw bad('"every" must be longer than nothing')
  for (const { name: key, type } of parameters) {
    if (!text.includes(`{${key}:${type}}`)) throw bad(`the statement does not use {${key}:${type}}`)
  }
  return {
    name,
    title: title[1],
    description: title[2],
    severity,
    attack: values.get('attack') ?? '',
    everyUs,
    looksBackUs: span('looks back'),
    suppressUs: span('suppress'),
    parameters,
    sql: text.trim(),
  }
}
