/** An anomaly or a security observation derived from flows, and what each rule has looked at. */
import type { ColumnKind } from './flow.js'

export const SEVERITIES = ['low', 'medium', 'high', 'critical'] as const
export type Severity = (typeof SEVERITIES)[number]

export interface Finding {
  /** End of the time that was looked at, µs since 1970. */
  ts: number
  /** Hash of rule, subject and ts: the same finding has it again, whoever finds it. */
  uid: string
  rule: string
  title: string
  severity: Severity
  /** MITRE ATT&CK technique, `T1071`; `''` where none fits. */
  attack: string
  /** What it is about; the suppression key. */
  subject: string
  summary: string
  score: number
  /** `flow_id`s as decimal digits. */
  evidence: readonly string[]
  attrs: Record<string, string>
}

export interface DetectRun {
  rule: string
  /** Up to here the rule has looked, µs since 1970. */
  ts: number
  findings: number
}

export const FINDING_COLUMNS: Readonly<Record<keyof Finding, ColumnKind>> = {
  ts: 'time',
  uid: 'text',
  rule: 'text',
  title: 'text',
  severity: 'text',
  attack: 'text',
  subject: 'text',
  summary: 'text',
  score: 'f64',
  evidence: 'texts',
  attrs: 'map',
}

export const DETECT_RUN_COLUMNS: Readonly<Record<keyof DetectRun, ColumnKind>> = {
  rule: 'text',
  ts: 'time',
  findings: 'u32',
}
