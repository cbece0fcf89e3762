/**
 * CityHash128 in version 1.0.2 (Google, 2011), the checksum in front of ClickHouse's compressed blocks. 64-bit values are
 * pairs of 32-bit halves in one Int32Array of registers: BigInt is some thirty times slower here.
 */

/** One 64-bit register. */
class U64 {
  lo = 0
  hi = 0

  constructor(hi = 0, lo = 0) {
    this.hi = hi | 0
    this.lo = lo | 0
  }

  set(from: U64): this {
    this.hi = from.hi
    this.lo = from.lo
    return this
  }

  load(bytes: Buffer, at: number): this {
    this.lo = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)
    this.hi = bytes[at + 4] | (bytes[at + 5] << 8) | (bytes[at + 6] << 16) | (bytes[at + 7] << 24)
    return this
  }

  add(other: U64): this {
    const lo = (this.lo >>> 0) + (other.lo >>> 0)
    this.hi = (this.hi + other.hi + (lo > 0xffffffff ? 1 : 0)) | 0
    this.lo = lo | 0
    return this
  }

  sub(other: U64): this {
    const borrow = this.lo >>> 0 < other.lo >>> 0 ? 1 : 0
    this.lo = (this.lo - other.lo) | 0
    this.hi = (this.hi - other.hi - borrow) | 0
    return this
  }

  xor(other: U64): this {
    this.lo ^= other.lo
    this.hi ^= other.hi
    return this
  }

  mul(other: U64): this {
    const a0 = this.lo & 0xffff
    const a1 = this.lo >>> 16
    const b0 = other.lo & 0xffff
    const b1 = other.lo >>> 16
    const low = a0 * b0
    const middle = a1 * b0 + (low >>> 16)
    const middle2 = a0 * b1 + (middle & 0xffff)
    const high = a1 * b1 + Math.floor(middle / 65536) + Math.floor(middle2 / 65536)
    const hi = (high + Math.imul(this.lo, other.hi) + Math.imul(this.hi, other.lo)) | 0
    this.lo = ((middle2 & 0xffff) << 16) | (low & 0xffff)
    this.hi = hi
    return this
  }

  rotate(bits: number): this {
    const { hi, lo } = this
    if (bits === 0) return this
    if (bits < 32) {
      this.lo = (lo >>> bits) | (hi << (32 - bits))
      this.hi = (hi >>> bits) | (lo << (32 - bits))
    } else if (bits === 32) {
      this.lo = hi
      this.hi = lo
    } else {
      this.lo = (hi >>> (bits - 32)) | (lo << (64 - bits))
      this.hi = (lo >>> (bits - 32)) | (hi << (64 - bits))
    }
    return this
  }

  /** value ^ (value >> 47) */
  mix(): this {
    this.lo ^= this.hi >>> 15
    return this
  }
}

const K0 = new U64(0xc3a5c85c, 0x97cb3127)
const K1 = new U64(0xb492b66f, 0xbe98f273)
const K2 = new U64(0x9ae16a3b, 0x2f90404f)
const K3 = new U64(0xc949d7c7, 0x509e6557)
const MUL = new U64(0x9ddfea08, 0xeb382d69)

const copy = (from: U64) => new U64(from.hi, from.lo)
const number = (value: number) => new U64(Math.floor(value / 2 ** 32), value % 2 ** 32)
const fetch64 = (bytes: Buffer, at: number) => new U64().load(bytes, at)

function hash16(u: U64, v: U64): U64 {
  const a = copy(u).xor(v).mul(MUL).mix()
  return copy(v).xor(a).mul(MUL).mix().mul(MUL)
}

function hashShort(bytes: Buffer, at: number, size: number): U64 {
  if (size > 8) {
    const b = fetch64(bytes, at + size - 8)
    return hash16(fetch64(bytes, at), copy(b).add(number(size)).rotate(size)).xor(b)
  }
  if (size >= 4) {
    const a = number(bytes.readUInt32LE(at) * 8)
    return hash16(a.add(number(size)), number(bytes.readUInt32LE(at + size - 4)))
  }
  if (size > 0) {
    const y = number(bytes[at] + bytes[at + (size >> 1)] * 256)
    const z = number(size + bytes[at + size - 1] * 4)
    return y.mul(K2).xor(z.mul(K3)).mix().mul(K2)
  }
  return copy(K2)
}

class Pair {
  readonly first: U64
  readonly second: U64

  constructor(first: U64 = new U64(), second: U64 = new U64()) {
    this.first = first
    this.second = second
  }
}

const w64 = new U64()
const c64 = new U64()

/** Hashes 32 bytes with two seeds; `into` may own the seeds. */
function weakHash(bytes: Buffer, at: number, a: U64, b: U64, into: Pair): void {
  a.add(w64.load(bytes, at))
  b.add(a)
    .add(w64.load(bytes, at + 24))
    .rotate(21)
  const c = c64.set(a)
  a.add(w64.load(bytes, at + 8)).add(w64.load(bytes, at + 16))
  b.add(w64.set(a).rotate(44))
  into.first.set(a).add(w64.load(bytes, at + 24))
  into.second.set(b).add(c)
}

function murmur(bytes: Buffer, at: number, size: number, seed: Pair): Pair {
  let a = copy(seed.first)
  let b = copy(seed.second)
  let c: U64
  let d: U64
  if (size <= 16) {
    a = a.mul(K1).mix().mul(K1)
    c = copy(b)
      .mul(K1)
      .add(hashShort(bytes, at, size))
    d = copy(a)
      .add(size >= 8 ? fetch64(bytes, at) : c)
      .mix()
  } else {
    c = hash16(fetch64(bytes, at + size - 8).add(K1), a)
    d = hash16(copy(b).add(number(size)), copy(c).add(fetch64(bytes, at + size - 16)))
    a.add(d)
    for (let left = size - 16, from = at; left > 0; left -= 16, from += 16) {
      a.xor(fetch64(bytes, from).mul(K1).mix().mul(K1)).mul(K1)
      b = b.xor(a)
      c.xor(
        fetch64(bytes, from + 8)
          .mul(K1)
          .mix()
          .mul(K1),
      ).mul(K1)
      d.xor(c)
    }
  }
  a = hash16(a, c)
  b = hash16(d, b)
  return new Pair(copy(a).xor(b), hash16(b, a))
}

function seeded(bytes: Buffer, at: number, size: number, seed: Pair): Pair {
  if (size < 128) return murmur(bytes, at, size, seed)
  const v = new Pair()
  const w = new Pair()
  let x = copy(seed.first)
  let y = copy(seed.second)
  let z = number(size).mul(K1)
  v.first.set(copy(y).xor(K1).rotate(49).mul(K1).add(fetch64(bytes, at)))
  v.second.set(
    copy(v.first)
      .rotate(42)
      .mul(K1)
      .add(fetch64(bytes, at + 8)),
  )
  w.first.set(copy(y).add(z).rotate(35).mul(K1).add(x))
  w.second.set(
    copy(x)
      .add(fetch64(bytes, at + 88))
      .rotate(53)
      .mul(K1),
  )

  const t = new U64()
  const a = new U64()
  const b = new U64()
  let pos = at
  let left = size
  do {
    for (let half = 0; half < 2; half++, pos += 64) {
      x.add(y)
        .add(v.first)
        .add(t.load(bytes, pos + 16))
        .rotate(37)
        .mul(K1)
      y.add(v.second)
        .add(t.load(bytes, pos + 48))
        .rotate(42)
        .mul(K1)
      x.xor(w.second)
      y.xor(v.first)
      z.xor(w.first).rotate(33)
      weakHash(bytes, pos, a.set(v.second).mul(K1), b.set(x).add(w.first), v)
      weakHash(bytes, pos + 32, a.set(z).add(w.second), b.set(y), w)
      const swapped = z
      z = x
      x = swapped
    }
    left -= 128
  } while (left >= 128)

  y.add(copy(w.first).rotate(37).mul(K0).add(z))
  x.add(copy(v.first).add(z).rotate(49).mul(K0))
  for (let done = 0; done < left; ) {
    done += 32
    const from = pos + left - done
    y = copy(y).sub(x).rotate(42).mul(K0).add(v.second)
    w.first.add(t.load(bytes, from + 16))
    x.rotate(49).mul(K0).add(w.first)
    w.first.add(v.first)
    weakHash(bytes, from, a.set(v.first), b.set(v.second), v)
  }
  x = hash16(x, v.first)
  y = hash16(y, w.first)
  return new Pair(hash16(copy(x).add(v.second), w.second).add(y), hash16(copy(x).add(w.second), copy(y).add(v.second)))
}

/** 16 bytes as they stand in front of a block: low half first, both little-endian. */
export function cityHash128(bytes: Buffer): Buffer {
  const size = bytes.length
  let hash: Pair
  if (size >= 16) {
    hash = seeded(bytes, 16, size - 16, new Pair(fetch64(bytes, 0).xor(K3), fetch64(bytes, 8)))
  } else if (size >= 8) {
    const seed = new Pair(number(size).mul(K0).xor(fetch64(bytes, 0)), fetch64(bytes, size - 8).xor(K1))
    hash = seeded(Buffer.alloc(0), 0, 0, seed)
  } else {
    hash = seeded(bytes, 0, size, new Pair(copy(K0), copy(K1)))
  }
  const out = Buffer.alloc(16)
  out.writeInt32LE(hash.first.lo, 0)
  out.writeInt32LE(hash.first.hi, 4)
  out.writeInt32LE(hash.second.lo, 8)
  out.writeInt32LE(hash.second.hi, 12)
  return out
}
