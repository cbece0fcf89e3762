/** The rules that come with klartext: one folder each under rules/, with a positive and a negative fixture beside the rule. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { KlartextError } from '../core/errors.js'
import { REPO_ROOT } from '../core/repo_root.js'
import { parseRule, type Rule } from './rule.js'

export const RULES_FOLDER: string = join(REPO_ROOT, 'services/detect/rules')

/** Of all the folders. Throws KlartextError `BAD_RULE`. */
export function readRules(...folders: readonly string[]): Rule[] {
  const rules = (folders.length === 0 ? [RULES_FOLDER] : folders)
    .flatMap((folder) => readRulesOf(folder))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
  for (let i = 1; i < rules.length; i++) {
    // What a rule has looked at, and told, is known by its name.
    const { name } = rules[i]
    if (name === rules[i - 1].name) throw new KlartextError('BAD_RULE', `there are two rules with the name ${name}`)
  }
  return rules
}

function readRulesOf(folder: string): Rule[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => parseRule(name, readFileSync(join(folder, name, 'rule.sql'), 'utf8')))
}
