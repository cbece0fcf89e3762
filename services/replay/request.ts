/** What a replay is asked for: checked, in one normal form, and named by its hash, so that the same request is the same replay. */
import { createHash } from 'node:crypto'
import { isIP } from 'node:net'
import { addressToBytes, addressToText } from '../core/address.js'
import { KlartextError, UsageError } from '../core/errors.js'
import { DECODER_VERSION } from '../core/flow.js'
import { REPLAY_BLOCKS, type ReplayBlocks, type ReplayFilter, type ReplayRequest } from '../core/replay.js'

/** Warm-up: longer than most requests and idle pooled connections take between two of them. */
export const LEAD_US = 120e6
const TRAIL_US = 60e6
/** All of an archive. */
export const ALL_TIME_US: readonly [number, number] = [0, Number.MAX_SAFE_INTEGER]

/** Kubernetes names have at most 253 characters; more is no name. */
const NAME_CHARS_MAX = 253
const VALUES_MAX = 1000

export interface Asked {
  readonly archive?: string
  readonly fromUs: number
  readonly toUs: number
  readonly leadUs?: number
  readonly trailUs?: number
  readonly filter?: Partial<ReplayFilter>
  readonly blocks?: ReplayBlocks
}

/** Throws UsageError that names what is wrong. */
export function replayRequest(asked: Asked): ReplayRequest {
  const {
    archive = '',
    fromUs,
    toUs,
    leadUs = LEAD_US,
    trailUs = TRAIL_US,
    filter = {},
    blocks = REPLAY_BLOCKS,
  } = asked
  if (!(fromUs < toUs)) throw new UsageError('a replay needs a window that begins before it ends')
  return {
    archive,
    fromUs,
    toUs,
    leadUs,
    trailUs,
    filter: {
      namespaces: names(filter.namespaces, 'namespace'),
      workloads: names(filter.workloads, 'workload'),
      addresses: sorted(filter.addresses, (text) => address(text)),
      ports: [...new Set(filter.ports ?? [])].sort((a, b) => a - b).map(port),
      protocols: names(filter.protocols, 'protocol'),
      connIds: sorted(filter.connIds, connId),
    },
    decoderVersion: DECODER_VERSION,
    blocks,
  }
}

function sorted(texts: readonly string[] | undefined, check: (text: string) => string): string[] {
  const values = [...new Set((texts ?? []).map(check))].sort()
  if (values.length > VALUES_MAX) throw new UsageError(`a filter takes at most ${VALUES_MAX} values of a kind`)
  return values
}

function names(texts: readonly string[] | undefined, what: string): string[] {
  return sorted(texts, (text) => {
    if (text === '' || text.length > NAME_CHARS_MAX || /[\p{Cc}\s]/u.test(text)) {
      throw new UsageError(`"${printable(text)}" is no ${what}`)
    }
    return text
  })
}

function address(text: string): string {
  // A zone (`%eth0`) means something on its own host only.
  if (isIP(text) === 0 || text.includes('%')) throw new UsageError(`"${printable(text)}" is no address`)
  return addressToText(addressToBytes(text))
}

function port(value: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= 65_535) return value
  throw new UsageError(`${value} is no port`)
}

function connId(text: string): string {
  if (!/^\d{1,20}$/.test(text) || BigInt(text) >= 2n ** 64n) {
    throw new UsageError(`"${printable(text)}" is no conn_id: those are whole numbers of 64 bits`)
  }
  return String(BigInt(text))
}

/** What came from outside, as a message may show it. */
export function printable(text: string): string {
  return text.slice(0, 80).replace(/[\p{Cc}\p{Cf}]/gu, '·')
}

/** `replay_` and 16 hex digits; also the names of its tables begin with it. */
export function replayId(request: ReplayRequest): string {
  // Property order is that of `replayRequest`, which makes all of them.
  return `replay_${createHash('sha256').update(JSON.stringify(request)).digest('hex').slice(0, 16)}`
}

/** With or without its prefix. Throws UsageError for what is no id. */
export function parseReplayId(text: string): string {
  const match = /^(?:replay_)?([0-9a-f]{16})$/.exec(text)
  if (match === null) {
    throw new UsageError(
      `"${printable(text)}" is no replay: those are replay_ and 16 hex digits, see klartext replay list`,
    )
  }
  return `replay_${match[1]}`
}

export function parseRequest(text: string): ReplayRequest {
  try {
    return JSON.parse(text) as ReplayRequest
  } catch (error) {
    throw new KlartextError('BAD_REPLAY', 'the request of a replay cannot be read', { cause: error })
  }
}

/** Tables of a replay. A second life after it was removed has its own, so that a straggler of the first reaches neither. */
export function replayTables(id: string, generation: number): { readonly flows: string; readonly connections: string } {
  const name = generation === 1 ? id : `${id}_${generation}`
  return { flows: `${name}_flows`, connections: `${name}_connections` }
}
