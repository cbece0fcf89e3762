/** The rules that come with klartext: one folder each under rules/, with a positive and a negative fixture beside the rule. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { REPO_ROOT } from '../core/repo_root.js'
import { parseRule, type Rule } from './rule.js'

export const RULES_FOLDER: string = join(REPO_ROOT, 'services/detect/rules')

export function readRules(folder: string = RULES_FOLDER): Rule[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => parseRule(name, readFileSync(join(folder, name, 'rule.sql'), 'utf8')))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}
