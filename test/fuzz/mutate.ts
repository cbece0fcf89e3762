/** Makes hostile traffic from real traffic: bytes changed, lengths lied about, parts lost, repeated, moved and mixed. */
import type { Random } from '../../services/core/random.js'
import { ConnectionInfo, type Direction, NO_BYTES, Segment, SegmentFlag } from '../../services/core/segment.js'
import { cut, joinedAt, late, without } from '../../services/decode/golden/segments.js'
import type { Source } from './sources.js'

interface Line {
  readonly direction: Direction
  readonly bytes: Buffer
}

const START_US = 1_790_000_000_000_000
/** What a run makes of small sources; long ones show what grows and what is searched again and again. */
const SHORT_BYTES = 64 * 1024
const LONG_BYTES = 768 * 1024
const LONG_CHANCE = 0.02

export function hostile(sources: readonly Source[], random: Random): Segment[] {
  const source = random.pick(sources)
  const udp = source[0].connection.transport === 'udp'
  let lines: Line[] = source.filter((each) => each.payload.length > 0).map(lineOf)
  for (let changes = random.below(5); changes > 0; changes--) lines = change(lines, sources, random)
  lines = bounded(lines, random.chance(LONG_CHANCE) ? LONG_BYTES : SHORT_BYTES, random)
  return onTheWay(segments(lines, udp, random), random)
}

const lineOf = ({ direction, payload }: Segment): Line => ({ direction, bytes: payload })

/** Odd numbers for a length field. */
const ODD = [0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff]
const ODD_TEXTS = [
  '0',
  '-1',
  '1',
  '65536',
  '4294967295',
  '9007199254740993',
  '99999999999999999999',
  'ffffffffffffffff',
  '',
]

function change(lines: Line[], sources: readonly Source[], random: Random): Line[] {
  if (lines.length === 0) return lines
  const at = random.below(lines.length)
  const { direction, bytes } = lines[at]
  const replaced = (...parts: Buffer[]): Line[] => [
    ...lines.slice(0, at),
    ...parts.map((part) => ({ direction, bytes: part })),
    ...lines.slice(at + 1),
  ]
  const [from, to] = [random.below(bytes.length + 1), random.below(bytes.length + 1)].sort((a, b) => a - b)
  switch (random.below(11)) {
    case 0:
      return replaced(flipped(bytes, random))
    case 1:
      return replaced(Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]))
    case 2:
      return replaced(Buffer.concat([bytes.subarray(0, to), bytes.subarray(from)]))
    case 3:
      return replaced(withOddNumber(bytes, random))
    case 4:
      return replaced(withOddText(bytes, random))
    case 5: {
      const other = random.pick(random.pick(sources)).payload
      const start = random.below(other.length + 1)
      return replaced(Buffer.concat([bytes.subarray(0, from), other.subarray(start), bytes.subarray(to)]))
    }
    case 6:
      return replaced(...Array<Buffer>(2 + random.below(6)).fill(bytes))
    case 7: {
      const noise = Buffer.from(Array.from({ length: random.below(64) }, () => random.below(256)))
      return replaced(bytes.subarray(0, from), noise, bytes.subarray(from))
    }
    case 8:
      return [...lines.slice(at), ...lines.slice(0, at)]
    case 9:
      return lines.map((line, i) => (i === at ? { direction: (1 - direction) as Direction, bytes } : line))
    default:
      return lines.length > 1 ? [...lines.slice(0, at), ...lines.slice(at + 1)] : lines
  }
}

function flipped(bytes: Buffer, random: Random): Buffer {
  const copy = Buffer.from(bytes)
  for (let flips = 1 + random.below(8); flips > 0 && copy.length > 0; flips--) {
    const at = random.below(copy.length)
    copy[at] = random.chance(0.5) ? copy[at] ^ (1 << random.below(8)) : random.below(256)
  }
  return copy
}

/** In 1, 2, 4 or 8 bytes of either order. */
function withOddNumber(bytes: Buffer, random: Random): Buffer {
  const copy = Buffer.from(bytes)
  const width = random.pick([1, 2, 4, 8])
  if (copy.length < width) return copy
  const at = random.below(copy.length - width + 1)
  const value = random.chance(0.3) ? copy.length + random.below(5) - 2 : random.pick(ODD)
  const big = Buffer.alloc(8)
  big.writeBigUInt64BE((BigInt(Math.max(0, value)) * (random.chance(0.1) ? 0x100000000n : 1n)) & 0xffffffffffffffffn)
  const digits = big.subarray(8 - width)
  ;(random.chance(0.3) ? Buffer.from(digits).reverse() : digits).copy(copy, at)
  return copy
}

/** Instead of a number in text. */
function withOddText(bytes: Buffer, random: Random): Buffer {
  const text = bytes.toString('latin1')
  const numbers = [...text.matchAll(/[0-9]+/g)]
  if (numbers.length === 0) return flipped(bytes, random)
  const { index, 0: digits } = random.pick(numbers)
  return Buffer.from(`${text.slice(0, index)}${random.pick(ODD_TEXTS)}${text.slice(index + digits.length)}`, 'latin1')
}

/** Long runs say everything, or one thing, again and again. */
function bounded(lines: Line[], bytesMax: number, random: Random): Line[] {
  const size = (each: readonly Line[]) => each.reduce((sum, { bytes }) => sum + bytes.length, 0)
  let out = lines
  if (bytesMax === LONG_BYTES && size(lines) > 0) {
    const again = random.chance(0.5) ? [random.pick(lines.filter(({ bytes }) => bytes.length > 0))] : lines
    out = [...lines]
    for (let left = bytesMax - size(lines); left > 0; left -= size(again)) out.push(...again)
  }
  let left = bytesMax
  return out.filter(({ bytes }) => (left -= bytes.length) >= 0)
}

function segments(lines: readonly Line[], udp: boolean, random: Random): Segment[] {
  const info = new ConnectionInfo(BigInt(1 + random.below(1000)))
  Object.assign(info, { clientIp: '10.0.0.1', clientPort: 40_000, serverIp: '10.0.0.2', serverPort: 80 })
  info.transport = udp ? 'udp' : 'tcp'
  const flags = random.chance(0.3) ? SegmentFlag.ROLE_GUESSED : 0
  const positions = [0, 0]
  let timeUs = START_US
  return lines.map(({ direction, bytes }) => {
    const position = positions[direction]
    positions[direction] += bytes.length
    timeUs += random.chance(0.02) ? 10_000_000 : random.below(3000)
    return new Segment(info, direction, position, bytes.length, bytes, timeUs, 0, flags)
  })
}

const PIECES = [1, 2, 3, 5, 16, 100, 1460, 16_384]
const PIECES_MAX = 20_000

function onTheWay(whole: Segment[], random: Random): Segment[] {
  let out = whole
  const bytes = whole.reduce((sum, segment) => sum + segment.length, 0)
  const pieces = PIECES.filter((pieceBytes) => bytes / pieceBytes < PIECES_MAX)
  if (random.chance(0.6)) out = cut(out, random.pick(pieces))
  if (random.chance(0.2) && out.length > 0) out = joinedAt(out, random.below(out.length), random.below(20))
  if (random.chance(0.2)) out = late(out, random.chance(0.5) ? 0 : 1, 1 + random.below(4))
  for (let losses = random.chance(0.4) ? 1 + random.below(3) : 0; losses > 0 && out.length > 1; losses--) {
    const lost = random.below(out.length)
    // Flagged as a gap, or not: then what follows is held back.
    out = random.chance(0.5) ? without(out, lost) : out.filter((_, i) => i !== lost)
  }
  if (random.chance(0.15)) out = out.flatMap((each) => (random.chance(0.2) ? [each, each] : [each]))
  if (random.chance(0.1)) out = out.map((each) => (random.chance(0.2) ? shortened(each, random) : each))
  if (random.chance(0.5)) out = closed(out, random)
  return out
}

/** More bytes passed than were copied. */
function shortened(segment: Segment, random: Random): Segment {
  const { connection, direction, position, length, payload, timeUs, flags } = segment
  const kept = payload.subarray(0, random.below(payload.length + 1))
  return new Segment(connection, direction, position, length, kept, timeUs, 0, flags | SegmentFlag.TRUNCATED)
}

function closed(segments: Segment[], random: Random): Segment[] {
  const out = [...segments]
  for (const direction of [0, 1] as const) {
    const last = segments.filter((each) => each.direction === direction).pop()
    if (last === undefined || random.chance(0.3)) continue
    const { connection, position, length, timeUs } = last
    const flags = SegmentFlag.CLOSE | (random.chance(0.1) ? SegmentFlag.RESET : 0)
    const at = position + length + (random.chance(0.1) ? random.below(1000) : 0)
    const close = new Segment(connection, direction, at, 0, NO_BYTES, timeUs, 0, flags)
    out.splice(random.chance(0.8) ? out.length : random.below(out.length + 1), 0, close)
  }
  return out
}
