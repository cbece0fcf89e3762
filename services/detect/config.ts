/** The configuration of the detections. */
import { type SectionOf, text } from '../core/config/key.js'
import { CLICKHOUSE_KEYS, KAFKA_KEYS, LOG_KEYS, operationsKeys, optionalRedisKeys } from '../core/config/shared.js'
import { KlartextError } from '../core/errors.js'
import type { Rule } from './rule.js'

const DETECT_KEYS = {
  group: text('KLARTEXT_DETECT_GROUP', {
    fallback: 'klartext-detect',
    help: 'how several of them know each other: queue in Redis, transactions in Kafka',
  }),
  rulesFolder: text('KLARTEXT_DETECT_RULES', {
    fallback: '',
    help: 'folder with rules of your own, NAME/rule.sql each, beside those that come with klartext',
  }),
  parametersFile: text('KLARTEXT_DETECT_PARAMETERS_FILE', {
    fallback: '',
    help: 'JSON: by rule and parameter, other values than the rule has',
  }),
}
export type DetectConfig = SectionOf<typeof DETECT_KEYS>

const REDIS = optionalRedisKeys(
  'several detectors share the runs over it; without one each runs all rules, to the same effect',
)

export const DETECT_CONFIG = {
  kafka: KAFKA_KEYS,
  clickhouse: CLICKHOUSE_KEYS,
  redis: REDIS,
  detect: DETECT_KEYS,
  operations: operationsKeys(9705),
  log: LOG_KEYS,
}

export type RuleParameters = Readonly<Record<string, Readonly<Record<string, number>>>>

/** Throws KlartextError `BAD_PARAMETERS` that names the rule and the parameter. */
export function readParameters(json: string, name: string, rules: readonly Rule[]): RuleParameters {
  const bad = (what: string) => new KlartextError('BAD_PARAMETERS', `${name}: ${what}`)
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch (error) {
    throw bad((error as Error).message)
  }
  if (!isObject(value)) throw bad('an object of rules is wanted')
  for (const [ruleName, own] of Object.entries(value)) {
    const rule = rules.find((each) => each.name === ruleName)
    if (rule === undefined) throw bad(`no rule ${ruleName}; there are ${rules.map((each) => each.name).join(', ')}`)
    if (!isObject(own)) throw bad(`${ruleName}: an object of parameters is wanted`)
    for (const [parameter, number] of Object.entries(own)) {
      if (!rule.parameters.some((each) => each.name === parameter)) {
        const known = rule.parameters.map((each) => each.name).join(', ')
        throw bad(`rule ${ruleName} has no parameter ${parameter}; it has ${known}`)
      }
      if (typeof number !== 'number') throw bad(`${ruleName}.${parameter}: a number is wanted`)
    }
  }
  return value as RuleParameters
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
