/**
 * Huffman-coded strings of HPACK, RFC 7541 section 5.2 and appendix B. The code is canonical: within a length, codes follow
 * the order of the symbols, so that the lengths are all there is to know. Decoding goes byte by byte through a table: where
 * one is in the tree and the next byte give where one is then, and the up to two symbols that end on the way.
 */

/** By length in bits: the symbols, as single ones and ranges. 256 is the end of string. */
const LENGTHS: readonly (readonly [number, string])[] = [
  [5, '48-50 97 99 101 105 111 115-116'],
  [6, '32 37 45-47 51-57 61 65 95 98 100 102-104 108-110 112 114 117'],
  [7, '58 66-87 89 106-107 113 118-122'],
  [8, '38 42 44 59 88 90'],
  [10, '33-34 40-41 63'],
  [11, '39 43 124'],
  [12, '35 62'],
  [13, '0 36 64 91 93 126'],
  [14, '94 125'],
  [15, '60 96 123'],
  [19, '92 195 208'],
  [20, '128 130-131 162 184 194 224 226'],
  [21, '153 161 167 172 176-177 179 209 216-217 227 229-230'],
  [22, '129 132-134 136 146 154 156 160 163-164 169-170 173 178 181 185-187 189-190 196 198 228 232-233'],
  [23, '1 135 137-141 143 147 149-152 155 157-158 165-166 168 174-175 180 182-183 188 191 197 231 239'],
  [24, '9 142 144-145 148 159 171 206 215 225 236-237'],
  [25, '199 207 234-235'],
  [26, '192-193 200-202 205 210 213 218-219 238 240 242-243 255'],
  [27, '203-204 211-212 214 221-223 241 244-248 250-254'],
  [28, '2-8 11-12 14-21 23-31 127 220 249'],
  [30, '10 13 22 256'],
]
const END_OF_STRING = 256

/** Inner nodes of the tree, two children each: an inner node, or a symbol as -1 - symbol. */
const tree: number[] = [0, 0]
/** A row per inner node, an entry per byte: the node after it (8 bits), how many symbols ended (2), and these (8 each). */
let table = new Uint32Array(0)
/** Nodes at which a string may end: up to seven ones on the way to the end of string. */
const mayEnd = new Uint8Array(256)

const SYMBOLS_SHIFT = 8
const FIRST_SHIFT = 10
const SECOND_SHIFT = 18
const FAILED = 0xffff_ffff

/** Takes 10 ms, so that it waits for the first string: most commands never decode one. */
function build(): void {
  let code = 0
  let before = 0
  for (const [length, symbols] of LENGTHS) {
    for (const symbol of symbols.split(' ').flatMap(range)) {
      code <<= length - before
      before = length
      plant(code, length, symbol)
      code += 1
    }
  }
  table = new Uint32Array((tree.length / 2) * 256)
  for (let node = 0; node < tree.length / 2; node++) {
    for (let byte = 0; byte < 256; byte++) table[node * 256 + byte] = walk(node, byte)
  }
  markEnds()
}

function range(text: string): number[] {
  const [from, to = from] = text.split('-').map(Number)
  return Array.from({ length: to - from + 1 }, (_, i) => from + i)
}

function plant(code: number, length: number, symbol: number): void {
  let node = 0
  for (let bit = length - 1; bit > 0; bit--) {
    const at = node * 2 + ((code >>> bit) & 1)
    if (tree[at] === 0) {
      tree[at] = tree.length / 2
      tree.push(0, 0)
    }
    node = tree[at]
  }
  tree[node * 2 + (code & 1)] = -1 - symbol
}

function walk(from: number, byte: number): number {
  let node = from
  let count = 0
  let symbols = 0
  for (let bit = 7; bit >= 0; bit--) {
    const child = tree[node * 2 + ((byte >> bit) & 1)]
    if (child > 0) node = child
    else {
      const symbol = -1 - child
      // The end of string may not be coded in one.
      if (symbol === END_OF_STRING) return 0xffff_ffff
      symbols |= symbol << (count * 8)
      count += 1
      node = 0
    }
  }
  return (node | (count << 8) | (symbols << 10)) >>> 0
}

function markEnds(): void {
  let node = 0
  mayEnd[0] = 1
  for (let ones = 1; ones <= 7; ones++) {
    node = tree[node * 2 + 1]
    mayEnd[node] = 1
  }
}

let scratch = Buffer.allocUnsafe(1024)

/** What was decoded last; good until the next call. */
export function huffmanBytes(): Buffer {
  return scratch
}

/** Size of the decoded string, which stands in `huffmanBytes()`; -1 for bytes that are no Huffman-coded string. */
export function decodeHuffman(bytes: Buffer, from: number, to: number): number {
  if (table.length === 0) build()
  // The shortest code has 5 bits.
  const most = Math.ceil(((to - from) * 8) / 5)
  if (scratch.length < most) scratch = Buffer.allocUnsafe(most * 2)
  const out = scratch
  const rows = table
  let size = 0
  let node = 0
  for (let at = from; at < to; at++) {
    const entry = rows[node * 256 + bytes[at]]
    if (entry === FAILED) return -1
    const count = (entry >>> SYMBOLS_SHIFT) & 3
    if (count > 0) {
      out[size++] = (entry >>> FIRST_SHIFT) & 255
      if (count > 1) out[size++] = (entry >>> SECOND_SHIFT) & 255
    }
    node = entry & 255
  }
  return mayEnd[node] === 1 ? size : -1
}

/** ASCII as it is; other bytes as UTF-8. */
export function textOf(bytes: Buffer, from: number, to: number): string {
  let all = 0
  for (let i = from; i < to; i++) all |= bytes[i]
  return all < 128 ? bytes.toString('latin1', from, to) : bytes.toString('utf8', from, to)
}
