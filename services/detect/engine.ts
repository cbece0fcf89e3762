/**
 * Runs rules over the store. Time is cut into slots of the length of `every`; a rule looks at one slot after the other and
 * writes down up to where it has looked, so that a pause is made good and no slot is looked at twice. A run that is repeated
 * (a crash between its writes, two runners at once) finds the same, says it with the same uid and token, and changes nothing.
 */
import { createHash } from 'node:crypto'
import type { DetectRun, Finding } from '../core/finding.js'
import type { Store } from '../core/ports/store.js'
import { jsonRows } from '../core/wire/json_rows.js'
import type { Rule } from './rule.js'

/** A pause longer than this is not made good: the questions are about now. */
const CATCH_UP_US_MAX = 24 * 3600e6
/** Flows arrive some seconds after their time: a slot is looked at when it has been over for so long. */
const SETTLE_US = 15e6
/** Findings of one run; more say that the rule is wrong for this cluster. */
const FINDINGS_MAX = 1000

export interface EngineOptions {
  readonly store: Store
  readonly rules: readonly Rule[]
  readonly nowUs: () => number
  /** Given the findings of a slot once they are stored, before the slot counts as looked at; after a crash once more. */
  readonly onFindings?: (rule: Rule, untilUs: number, findings: readonly Finding[]) => Promise<void>
  /** By rule and parameter name: values other than the rule's own. */
  readonly parameters?: Readonly<Record<string, Readonly<Record<string, number>>>>
}

export class DetectEngine {
  readonly #options: EngineOptions

  constructor(options: EngineOptions) {
    this.#options = options
  }

  get rules(): readonly Rule[] {
    return this.#options.rules
  }

  /** Looks at every slot that is over and has not been looked at; answers the new findings. */
  async catchUp(rule: Rule): Promise<Finding[]> {
    const { everyUs } = rule
    const untilUs = Math.floor((this.#options.nowUs() - SETTLE_US) / everyUs) * everyUs
    const lastUs = await this.#lastRun(rule)
    const earliest = untilUs - CATCH_UP_US_MAX
    const found: Finding[] = []
    // The first time ever only the slot that is over now.
    let slot = lastUs === 0 ? untilUs : Math.max(lastUs + everyUs, Math.ceil(earliest / everyUs) * everyUs)
    for (; slot <= untilUs; slot += everyUs) found.push(...(await this.run(rule, slot)))
    return found
  }

  /** Looks at the time before `untilUs` once. */
  async run(rule: Rule, untilUs: number): Promise<Finding[]> {
    const { store, onFindings } = this.#options
    const token = `detect/${rule.name}/${untilUs}`
    // A run that ended half-way said what it says, though late flows may have changed the picture since.
    let findings = await this.#stored(rule, untilUs)
    if (findings.length === 0) {
      findings = await this.#found(rule, untilUs)
      if (findings.length > 0) {
        await store.insert('findings', findings, token)
        // Of two runs at once, which may have seen different flows, the first has said what there is.
        findings = await this.#stored(rule, untilUs)
      }
    }
    if (findings.length > 0) await onFindings?.(rule, untilUs, findings)
    const run: DetectRun = { rule: rule.name, ts: untilUs, findings: findings.length }
    await store.insert('detect_runs', [run], token)
    return findings
  }

  async #found(rule: Rule, untilUs: number): Promise<Finding[]> {
    const rows = await this.#query<Row>(rule.sql, this.#parameters(rule, untilUs))
    const quiet = await this.#toldBefore(rule, untilUs)
    return rows
      .filter(({ subject }) => !quiet.has(subject))
      .slice(0, FINDINGS_MAX)
      .map((row) => toFinding(rule, row, untilUs))
  }

  async #stored(rule: Rule, untilUs: number): Promise<Finding[]> {
    const sql = `SELECT subject, score, summary, evidence, attrs FROM klartext.findings FINAL
      WHERE rule = {rule:String} AND ts = {until:DateTime64(6, 'UTC')} ORDER BY uid`
    const rows = await this.#query<Row>(sql, { rule: rule.name, until: time(untilUs) })
    return rows.map((row) => toFinding(rule, row, untilUs))
  }

  #parameters(rule: Rule, untilUs: number): Record<string, string | number> {
    const own = this.#options.parameters?.[rule.name] ?? {}
    const values: Record<string, string | number> = { since: time(untilUs - rule.looksBackUs), until: time(untilUs) }
    for (const { name, value } of rule.parameters) values[name] = own[name] ?? value
    return values
  }

  async #lastRun(rule: Rule): Promise<number> {
    const sql = 'SELECT toUnixTimestamp64Micro(max(ts)) AS last FROM klartext.detect_runs WHERE rule = {rule:String}'
    const [{ last }] = await this.#query<{ last: number | string }>(sql, { rule: rule.name })
    return Number(last)
  }

  /** Subjects of findings that are too young to be told again. */
  async #toldBefore(rule: Rule, untilUs: number): Promise<ReadonlySet<string>> {
    const sql = `SELECT DISTINCT subject FROM klartext.findings
      WHERE rule = {rule:String} AND ts > {from:DateTime64(6, 'UTC')} AND ts < {until:DateTime64(6, 'UTC')}`
    const values = { rule: rule.name, from: time(untilUs - rule.suppressUs), until: time(untilUs) }
    return new Set((await this.#query<{ subject: string }>(sql, values)).map(({ subject }) => subject))
  }

  async #query<T>(sql: string, parameters: Readonly<Record<string, unknown>>): Promise<T[]> {
    return jsonRows<T>(await this.#options.store.query(sql, 'JSONStringsEachRow', parameters))
  }
}

/** All values as text: ids are beyond what a number of JSON holds. */
interface Row {
  readonly subject: string
  readonly score: string
  readonly summary: string
  readonly evidence: string
  readonly attrs: string
}

function toFinding(rule: Rule, row: Row, untilUs: number): Finding {
  const { name, title, severity, attack } = rule
  const uid = createHash('sha256').update(`${name}\n${row.subject}\n${untilUs}`).digest('hex').slice(0, 32)
  return {
    ts: untilUs,
    uid,
    rule: name,
    title,
    severity,
    attack,
    subject: row.subject,
    summary: row.summary,
    score: Number(row.score),
    evidence: row.evidence.match(/\d+/g) ?? [],
    attrs: mapOf(row.attrs),
  }
}

/** ClickHouse's text of a map: `{'minute':'2026-11-24 12:00:00','n':'7'}`. */
function mapOf(text: string): Record<string, string> {
  const values: Record<string, string> = {}
  for (const [, name, value] of text.matchAll(/'((?:[^'\\]|\\.)*)':'((?:[^'\\]|\\.)*)'/gs)) {
    values[unescaped(name)] = unescaped(value)
  }
  return values
}

const ESCAPED: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', 0: '\0' }

function unescaped(text: string): string {
  return text.replace(/\\(.)/gs, (_all, char: string) => ESCAPED[char] ?? char)
}

function time(us: number): string {
  const seconds = Math.floor(us / 1e6)
  const rest = String(us - seconds * 1e6).padStart(6, '0')
  return `${new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ')}.${rest}`
}
