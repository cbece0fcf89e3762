/**
 * What the decoder knows of commands: where the first key stands, which have subcommands, and which change the state of
 * the connection. Source: the command table of Redis and Valkey 8 (`COMMAND`), key specifications.
 */
import { isText, latin1 } from '../../../core/text.js'

export const PLAIN = 0
export const MULTI = 1
export const EXEC = 2
export const DISCARD = 3
export const SELECT = 4
export const AUTH = 5
export const HELLO = 6
export const SUBSCRIBE = 7
export const UNSUBSCRIBE = 8
export const MONITOR = 9
export const SYNC = 10
export const RESET = 11
export const CLIENT = 12
export const REPLCONF = 13

/** Where the first key is: an argument's index, or one of these. */
const NO_KEY = 0
/** After the word STREAMS. */
const STREAMS = -1
/** A count of keys is in argument 2, the keys follow. */
const SCRIPT = -2

export interface CommandSpec {
  /** In capitals. */
  readonly name: string
  readonly kind: number
  readonly keyAt: number
  /** The second word belongs to the name: `CLIENT REPLY`. */
  readonly hasSubcommand: boolean
  /** Not in the table: a module's, a new one, or none at all. */
  readonly known: boolean
  /** Its arguments may hold a password. */
  readonly secretive: boolean
}

const KINDS: Readonly<Record<string, number>> = {
  MULTI,
  EXEC,
  DISCARD,
  SELECT,
  AUTH,
  HELLO,
  SUBSCRIBE,
  PSUBSCRIBE: SUBSCRIBE,
  SSUBSCRIBE: SUBSCRIBE,
  UNSUBSCRIBE,
  PUNSUBSCRIBE: UNSUBSCRIBE,
  SUNSUBSCRIBE: UNSUBSCRIBE,
  MONITOR,
  SYNC,
  PSYNC: SYNC,
  RESET,
  CLIENT,
  REPLCONF,
}

const WITHOUT_KEY =
  'ASKING AUTH BGREWRITEAOF BGSAVE DBSIZE DISCARD ECHO EXEC FAILOVER FLUSHALL FLUSHDB HELLO INFO KEYS LASTSAVE LOLWUT ' +
  'MONITOR MULTI PFSELFTEST PING PSYNC QUIT RANDOMKEY READONLY READWRITE REPLCONF REPLICAOF RESET ROLE SAVE SCAN ' +
  'SELECT SHUTDOWN SLAVEOF SWAPDB SYNC TIME UNWATCH WAIT WAITAOF'
const WITH_SUBCOMMAND = 'ACL CLIENT CLUSTER COMMAND CONFIG FUNCTION LATENCY MODULE PUBSUB SCRIPT SENTINEL SLOWLOG'
const WITH_SUBCOMMAND_AND_KEY = 'DEBUG MEMORY OBJECT XGROUP XINFO'
/** Channels stand where keys do. */
const KEY_FIRST =
  'APPEND ARGREP ARSET BF.ADD BITCOUNT BITFIELD BITFIELD_RO BITPOS BLMOVE BLPOP BRPOP BRPOPLPUSH BZPOPMAX BZPOPMIN COPY DECR DECRBY DEL ' +
  'DELEX DIGEST DUMP EXISTS EXPIRE EXPIREAT EXPIRETIME GEOADD GEODIST GEOHASH GEOPOS GEORADIUS GEORADIUSBYMEMBER GEORADIUSBYMEMBER_RO ' +
  'GEORADIUS_RO GEOSEARCH GEOSEARCHSTORE GET GETBIT GETDEL GETEX GETRANGE GETSET HDEL HEXISTS HEXPIRE HEXPIREAT ' +
  'HEXPIRETIME HGET HGETALL HGETDEL HGETEX HINCRBY HINCRBYFLOAT HKEYS HLEN HMGET HMSET HPERSIST HPEXPIRE HPEXPIREAT HPEXPIRETIME ' +
  'HPTTL HRANDFIELD HSCAN HSET HSETEX HSETNX HSTRLEN HTTL HVALS INCR INCRBY INCRBYFLOAT LCS LINDEX LINSERT LLEN LMOVE LPOP LPOS ' +
  'LPUSH LPUSHX LRANGE LREM LSET LTRIM MGET MOVE MSET MSETNX PERSIST PEXPIRE PEXPIREAT PEXPIRETIME PFADD PFCOUNT PFDEBUG PFMERGE ' +
  'PSETEX PSUBSCRIBE PTTL PUBLISH PUNSUBSCRIBE RENAME RENAMENX RESTORE RESTORE-ASKING RPOP RPOPLPUSH RPUSH RPUSHX SADD SCARD SDIFF ' +
  'SDIFFSTORE SET SETBIT SETEX SETNX SETRANGE SINTER SINTERSTORE SISMEMBER SMEMBERS SMISMEMBER SMOVE SORT SORT_RO SPOP ' +
  'SPUBLISH SRANDMEMBER SREM SSCAN SSUBSCRIBE STRLEN SUBSCRIBE SUBSTR SUNION SUNIONSTORE SUNSUBSCRIBE TOUCH TTL TYPE ' +
  'UNLINK UNSUBSCRIBE VADD VCARD VDIM VEMB VGETATTR VINFO VISMEMBER VLINKS VRANDMEMBER VRANGE VREM VSETATTR VSIM WATCH XACK XACKDEL ' +
  'XADD XAUTOCLAIM XCLAIM XDEL XDELEX XLEN XPENDING XRANGE XREVRANGE XSETID XTRIM ZADD ZCARD ZCOUNT ZDIFFSTORE ZINCRBY ' +
  'ZINTERSTORE ZLEXCOUNT ZMSCORE ZPOPMAX ZPOPMIN ZRANDMEMBER ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANGESTORE ZRANK ZREM ' +
  'ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE ZREVRANGE ZREVRANGEBYLEX ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE ZUNIONSTORE'
const KEY_SECOND = 'BITOP LMPOP MSETEX SINTERCARD ZDIFF ZINTER ZINTERCARD ZMPOP ZUNION'
const KEY_THIRD = 'BLMPOP BZMPOP MIGRATE'
const SCRIPTS = 'EVAL EVALSHA EVALSHA_RO EVAL_RO FCALL FCALL_RO'
const READS_STREAMS = 'XREAD XREADGROUP'

/** An unknown command may be a misspelt one of these. */
const SECRETIVE: ReadonlySet<string> = new Set(['AUTH', 'HELLO', 'CONFIG', 'ACL', 'MIGRATE', 'SENTINEL'])

const TABLE = new Map<string, CommandSpec>()
/** The table by the name as it is sent, in whatever case: bounded, since names come from the wire. */
const AS_SENT = new Map<string, CommandSpec>()
const AS_SENT_MAX = 2048

function list(names: string, keyAt: number, hasSubcommand = false): void {
  for (const name of names.split(' ')) {
    const secretive = SECRETIVE.has(name)
    TABLE.set(name, { name, kind: KINDS[name] ?? PLAIN, keyAt, hasSubcommand, known: true, secretive })
  }
}
list(WITHOUT_KEY, NO_KEY)
list(WITH_SUBCOMMAND, NO_KEY, true)
list(WITH_SUBCOMMAND_AND_KEY, 2, true)
list(KEY_FIRST, 1)
list(KEY_SECOND, 2)
list(KEY_THIRD, 3)
list(SCRIPTS, SCRIPT)
list(READS_STREAMS, STREAMS)

/** A name a server could know: `GET`, `JSON.SET`, `restore-asking`. */
const NAME = /^[A-Za-z_][A-Za-z0-9_.|-]{0,63}$/

/** Null if this is no command's name. */
export function commandSpec(sent: string): CommandSpec | null {
  const known = AS_SENT.get(sent)
  if (known !== undefined) return known
  if (!NAME.test(sent)) return null
  const name = sent.toUpperCase()
  // Commands of modules (`JSON.SET`) have their key first.
  const keyAt = name.includes('.') ? 1 : NO_KEY
  const spec = TABLE.get(name) ?? { name, kind: PLAIN, keyAt, hasSubcommand: false, known: false, secretive: true }
  if (AS_SENT.size >= AS_SENT_MAX) AS_SENT.clear()
  AS_SENT.set(sent, spec)
  return spec
}

const NAMES = 512
const NAME_BYTES_MAX = 16
const named: (Named | null)[] = new Array<Named | null>(NAMES).fill(null)

interface Named {
  readonly sent: string
  readonly spec: CommandSpec
}

/** As `commandSpec` of these bytes, for the names of the table; null for any other. */
export function commandNamed(bytes: Buffer, from: number, to: number): CommandSpec | null {
  const size = to - from
  if (size === 0 || size > NAME_BYTES_MAX) return null
  let hash = size
  for (let i = from; i < to; i++) hash = (Math.imul(hash, 31) + bytes[i]) | 0
  const at = (hash ^ (hash >>> 9)) & (NAMES - 1)
  const known = named[at]
  if (known !== null && isText(known.sent, bytes, from, size)) return known.spec
  const sent = latin1(bytes, from, to)
  const spec = commandSpec(sent)
  if (spec === null || !spec.known) return null
  named[at] = { sent, spec }
  return spec
}

/** How many arguments, its name included, tell what a command is and about which key. */
export function argsNeeded(sent: string): number {
  const spec = commandSpec(sent)
  if (spec === null || spec.kind !== PLAIN || spec.hasSubcommand || spec.keyAt < 0) return Number.POSITIVE_INFINITY
  return spec.keyAt + 1
}

const SUBCOMMAND = /^[A-Za-z][A-Za-z-]{0,31}$/
const METHODS = new Map<string, string>()
const METHODS_MAX = 1024

/** `CLIENT REPLY`; a second word that cannot be a subcommand is left away. */
export function methodOf(spec: CommandSpec, args: readonly string[]): string {
  if (!spec.hasSubcommand || args.length < 2) return spec.name
  const sent = args[1]
  const id = `${spec.name} ${sent}`
  const known = METHODS.get(id)
  if (known !== undefined) return known
  if (!SUBCOMMAND.test(sent)) return spec.name
  const method = `${spec.name} ${sent.toUpperCase()}`
  if (METHODS.size >= METHODS_MAX) METHODS.clear()
  METHODS.set(id, method)
  return method
}

/** The first key or channel, `''` if there is none. */
export function keyOf(spec: CommandSpec, args: readonly string[]): string {
  const { keyAt } = spec
  if (keyAt > 0) return args[keyAt] ?? ''
  if (keyAt === NO_KEY) return ''
  if (keyAt === SCRIPT) return Number(args[2]) > 0 ? (args[3] ?? '') : ''
  const at = args.findIndex((arg) => arg.length === 7 && arg.toUpperCase() === 'STREAMS')
  return at > 0 ? (args[at + 1] ?? '') : ''
}
