/**
 * A finding as OCSF 1.3 Detection Finding (class 2004), the form in which SOC tools take it: one JSON object per message of
 * `klartext.findings.ocsf`. Source: Open Cybersecurity Schema Framework, schema.ocsf.io, class `detection_finding`.
 */
import type { Finding, Severity } from '../core/finding.js'
import { DECODER_VERSION } from '../core/flow.js'

const CLASS_UID = 2004
const CATEGORY_FINDINGS = 2
const ACTIVITY_CREATE = 1
const STATUS_NEW = 1
const ANALYTIC_RULE = 1
const OCSF_VERSION = '1.3.0'

const SEVERITY_IDS: Readonly<Record<Severity, number>> = { low: 2, medium: 3, high: 4, critical: 5 }
const SEVERITY_NAMES: Readonly<Record<Severity, string>> = {
  low: 'Low',
  medium: 'Medium',
  high: 'High',
  critical: 'Critical',
}

export type OcsfDetectionFinding = Readonly<Record<string, unknown>>

export function toOcsf(finding: Finding): OcsfDetectionFinding {
  const timeMs = Math.floor(finding.ts / 1000)
  const { severity, attack } = finding
  return {
    activity_id: ACTIVITY_CREATE,
    activity_name: 'Create',
    category_uid: CATEGORY_FINDINGS,
    category_name: 'Findings',
    class_uid: CLASS_UID,
    class_name: 'Detection Finding',
    type_uid: CLASS_UID * 100 + ACTIVITY_CREATE,
    type_name: 'Detection Finding: Create',
    time: timeMs,
    severity_id: SEVERITY_IDS[severity],
    severity: SEVERITY_NAMES[severity],
    status_id: STATUS_NEW,
    status: 'New',
    message: finding.summary,
    metadata: {
      version: OCSF_VERSION,
      uid: finding.uid,
      product: { name: 'klartext', vendor_name: 'klartext', version: DECODER_VERSION },
    },
    finding_info: {
      uid: finding.uid,
      title: finding.title,
      desc: finding.summary,
      created_time: timeMs,
      analytic: { name: finding.rule, uid: finding.rule, type_id: ANALYTIC_RULE, type: 'Rule' },
      ...(attack === '' ? {} : { attacks: [{ version: '15', technique: { uid: attack } }] }),
    },
    evidences: finding.evidence.map((flow) => ({
      data: { flow_id: flow, query: `SELECT * FROM klartext.flows WHERE flow_id = ${flow}` },
    })),
    unmapped: { subject: finding.subject, score: finding.score, ...finding.attrs },
  }
}
