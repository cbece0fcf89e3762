/** What of a Redis flow may stay in clear, and what may not even where everything else does: passwords. */
import type { Privacy } from '../../../core/protocol.js'
import { AUTH, type CommandSpec, HELLO } from './commands.js'
import { keyTemplate } from './key_template.js'

export const REDIS_PRIVACY: Privacy = {
  maskResource: keyTemplate,
  attrsKept: new Set([
    'db.namespace',
    'db.operation.batch.size',
    'db.response.status_code',
    'redis.reply_mode',
    'redis.transaction',
    'redis.replication',
  ]),
}

const MASK = '***'
/** Settings whose value is a secret: requirepass, masterauth, tls-key-file-pass, auth-pass ... */
const SECRET_SETTING = /pass|auth|secret/i
export const TEXT_CHARS_MAX = 512

/** The command as text, `SET k v`: no password in it, whatever the policy. `more` arguments are not in `args`. */
export function queryText(spec: CommandSpec, args: readonly string[], more: boolean): string {
  const shown = spec.secretive ? withoutSecrets(spec, args) : args
  const text = shown.join(' ')
  if (text.length > TEXT_CHARS_MAX) return `${text.slice(0, TEXT_CHARS_MAX)}…`
  return more ? `${text} …` : text
}

function withoutSecrets(spec: CommandSpec, args: readonly string[]): readonly string[] {
  if (spec.kind === AUTH) return args.map((arg, i) => (i === 0 || (i === 1 && args.length > 2) ? arg : MASK))
  // A misspelt AUTH carries its password too.
  if (!spec.known) return /auth|pass/i.test(spec.name) ? args.map((arg, i) => (i === 0 ? arg : MASK)) : args
  if (spec.name === 'ACL') return args.map((arg) => (/^[><#!]/.test(arg) ? arg[0] + MASK : arg))
  if (spec.kind === HELLO || spec.name === 'MIGRATE') return afterAuth(args)
  return args.map((arg, i) => (i > 2 && SECRET_SETTING.test(args[i - 1]) ? MASK : arg))
}

/** `AUTH user password`, `AUTH2 user password`; MIGRATE's `AUTH password`: both words after it go, all but a user's name. */
function afterAuth(args: readonly string[]): string[] {
  const shown = [...args]
  for (let i = 1; i < shown.length; i++) {
    const word = args[i].toUpperCase()
    if (word !== 'AUTH' && word !== 'AUTH2') continue
    if (args[0].toUpperCase() !== 'HELLO' && word === 'AUTH') shown[i + 1] = MASK
    else if (i + 2 < shown.length) shown[i + 2] = MASK
    break
  }
  return shown
}
