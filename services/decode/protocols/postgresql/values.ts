/** Parameter values of Bind as text: in text format they are, in binary format by type (manual, "Data Types"; `pg_type.dat`). */

const VALUE_CHARS_MAX = 256
const POSTGRES_EPOCH_MS = Date.UTC(2000, 0, 1)

/** The types that drivers send most, by OID. */
const TYPE_NAMES: Readonly<Record<string, string>> = {
  16: 'bool',
  17: 'bytea',
  18: 'char',
  19: 'name',
  20: 'int8',
  21: 'int2',
  23: 'int4',
  25: 'text',
  26: 'oid',
  114: 'json',
  700: 'float4',
  701: 'float8',
  1000: 'bool[]',
  1005: 'int2[]',
  1007: 'int4[]',
  1009: 'text[]',
  1015: 'varchar[]',
  1016: 'int8[]',
  1042: 'bpchar',
  1043: 'varchar',
  1082: 'date',
  1083: 'time',
  1114: 'timestamp',
  1184: 'timestamptz',
  1186: 'interval',
  1231: 'numeric[]',
  1266: 'timetz',
  1700: 'numeric',
  2950: 'uuid',
  2951: 'uuid[]',
  3802: 'jsonb',
}

/** `23,25,0` -> `int4,text,unknown`; an OID without a known name stays a number. */
export function typeNames(oids: string): string {
  return oids
    .split(',')
    .map((oid) => (oid === '0' ? 'unknown' : (TYPE_NAMES[oid] ?? oid)))
    .join(',')
}

/** `value` as it was kept: bytes in latin1. A binary value whose type is not known or not simple is shown in hex. */
export function binaryText(value: string, oid: string): string {
  const bytes = Buffer.from(value, 'latin1')
  const size = bytes.length
  switch (oid) {
    case '16':
      if (size === 1) return bytes[0] === 0 ? 'false' : 'true'
      break
    case '21':
      if (size === 2) return String(bytes.readInt16BE(0))
      break
    case '23':
      if (size === 4) return String(bytes.readInt32BE(0))
      break
    case '26':
      if (size === 4) return String(bytes.readUInt32BE(0))
      break
    case '20':
      if (size === 8) return String(bytes.readBigInt64BE(0))
      break
    case '700':
      if (size === 4) return String(Number(bytes.readFloatBE(0).toPrecision(7)))
      break
    case '701':
      if (size === 8) return String(bytes.readDoubleBE(0))
      break
    case '18':
    case '19':
    case '25':
    case '114':
    case '1042':
    case '1043':
      return bytes.toString('utf8').slice(0, VALUE_CHARS_MAX)
    case '3802':
      if (bytes[0] === 1) return bytes.toString('utf8', 1).slice(0, VALUE_CHARS_MAX)
      break
    case '2950':
      if (size === 16) return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
      break
    case '1082':
      if (size === 4) return dateText(bytes.readInt32BE(0) * 86_400_000, 10)
      break
    case '1114':
    case '1184':
      if (size === 8) return timestampText(bytes.readBigInt64BE(0))
      break
    case '1700':
      return numericText(bytes) ?? hex(bytes)
  }
  return hex(bytes)
}

function hex(bytes: Buffer): string {
  return `\\x${bytes.toString('hex', 0, Math.min(bytes.length, VALUE_CHARS_MAX / 2))}`
}

function dateText(ms: number, chars: number): string {
  const date = new Date(POSTGRES_EPOCH_MS + ms)
  return Number.isNaN(date.getTime()) ? 'infinity' : date.toISOString().slice(0, chars)
}

/** µs since 2000. */
function timestampText(us: bigint): string {
  const ms = us / 1000n
  const rest = Number(((us % 1_000_000n) + 1_000_000n) % 1_000_000n)
  const floor = Number(ms) - (us < 0n && us % 1000n !== 0n ? 1 : 0)
  const text = dateText(floor, 19)
  return text === 'infinity'
    ? text
    : `${text.replace('T', ' ')}${rest === 0 ? '' : `.${String(rest).padStart(6, '0')}`}`
}

/** Digits in base 10000 (`numeric_send`); null if these bytes are no numeric. */
function numericText(bytes: Buffer): string | null {
  if (bytes.length < 8) return null
  const count = bytes.readUInt16BE(0)
  const weight = bytes.readInt16BE(2)
  const sign = bytes.readUInt16BE(4)
  const scale = bytes.readUInt16BE(6)
  if (sign === 0xc000) return 'NaN'
  if ((sign !== 0 && sign !== 0x4000) || bytes.length < 8 + 2 * count || weight > 64 || weight < -64 || scale > 256)
    return null
  const digit = (i: number) => (i < 0 || i >= count ? 0 : bytes.readUInt16BE(8 + 2 * i))
  let whole = ''
  for (let i = 0; i <= weight; i++) whole += String(digit(i)).padStart(4, '0')
  let part = ''
  for (let i = weight + 1; part.length < scale; i++) part += String(digit(i)).padStart(4, '0')
  whole = whole.replace(/^0+(?=\d)/, '') || '0'
  return `${sign === 0 ? '' : '-'}${whole}${scale === 0 ? '' : `.${part.slice(0, scale)}`}`
}
