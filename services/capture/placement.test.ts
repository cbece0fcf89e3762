/** Probe placement on real and on hand-made libraries. The addon does the work; see native/src/placement.cpp. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { REPO_ROOT } from '../core/repo_root.js'

interface ProbePoint {
  role: string
  symbol: string
  functionOffset: number
  entryOffset: number
  returnOffset: number | null
  entryCost: 'emulated' | 'single_step'
  returnCost: 'emulated' | 'single_step' | null
  arguments: string[]
  instruction: string
}
interface ProbePlan {
  kind: string
  version: string
  buildId: string
  points: ProbePoint[]
  reason: string
  note: string
}
interface Addon {
  planProbes(path: string, mode?: string): ProbePlan
}

const ADDON = join(REPO_ROOT, 'native/build/klartext.node')
const addon: Addon | undefined = existsSync(ADDON) ? createRequire(import.meta.url)(ADDON) : undefined
const LIBSSL = '/usr/lib/x86_64-linux-gnu/libssl.so.3'
const LIBCRYPTO = '/usr/lib/x86_64-linux-gnu/libcrypto.so.3'

function skipUnless(...files: string[]): string | false {
  if (addon === undefined) return 'native/build/klartext.node is not built (make -C native)'
  if (process.arch !== 'x64') return 'instructions are looked at on x86-64 only'
  const missing = files.find((file) => !existsSync(file))
  return missing === undefined ? false : `${missing} is not there`
}

const plan = (path: string, mode?: string): ProbePlan => (addon as Addon).planProbes(path, mode)

function point(of: ProbePlan, role: string): ProbePoint {
  const found = of.points.find((item) => item.role === role)
  assert.ok(found !== undefined, `no ${role} among ${of.points.map((item) => item.role).join(' ')}: ${of.reason}`)
  return found
}

const folder = mkdtempSync(join(tmpdir(), 'klartext-placement-'))
after(() => rmSync(folder, { recursive: true }))

/** Assembles functions written as instructions into a shared library; `size` directives included. */
function library(name: string, functions: Record<string, string>, hidden: readonly string[] = []): string {
  const source = Object.entries(functions).map(
    ([symbol, body]) => `
    .globl ${symbol}
    ${hidden.includes(symbol) ? `.hidden ${symbol}` : ''}
    .type ${symbol}, @function
    .p2align 4
${symbol}:
    ${body}
    .size ${symbol}, .-${symbol}`,
  )
  const path = join(folder, name)
  writeFileSync(
    `${path}.s`,
    `.intel_syntax noprefix\n.text\n${source.join('\n')}\n.section .note.GNU-stack,"",@progbits\n`,
  )
  const run = spawnSync('gcc', ['-shared', '-nostdlib', '-Wl,-Bsymbolic', '-o', path, `${path}.s`])
  assert.equal(run.status, 0, run.stderr?.toString())
  return path
}

/** Entry and return site, relative to the function, with their costs. */
function sites(of: ProbePoint): [number, string, number | null, string | null] {
  return [
    of.entryOffset - of.functionOffset,
    of.entryCost,
    of.returnOffset === null ? null : of.returnOffset - of.functionOffset,
    of.returnCost,
  ]
}

const RET = 'ret'
/** A complete pair, so that a library counts as one of TLS. */
const WRITE_PLAIN = { SSL_write: `push rbx\n pop rbx\n ${RET}` }

test('libssl 3: one internal function stands for both variants, on an emulated push', {
  skip: skipUnless(LIBSSL),
}, () => {
  const found = plan(LIBSSL)
  assert.equal(found.kind, 'openssl')
  assert.match(found.version, /^3/)
  assert.match(found.buildId, /^[0-9a-f]{40}$/)
  assert.equal(found.reason, '')
  for (const role of ['read_internal', 'write_internal']) {
    const internal = point(found, role)
    assert.deepEqual(sites(internal), [0, 'emulated', 0, 'emulated'])
    assert.deepEqual(internal.arguments, ['rdi', 'rsi', 'rdx', 'rcx'])
    assert.match(internal.instruction, /^push /)
  }
  for (const role of ['read', 'read_ex', 'write', 'write_ex']) {
    assert.equal(
      found.points.some((item) => item.role === role),
      false,
      `${role} would see the same bytes again`,
    )
  }
  for (const role of ['handshake', 'shutdown', 'free', 'clear', 'set_fd', 'set_rfd', 'set_wfd']) {
    assert.equal(point(found, role).entryCost, 'emulated', role)
  }
})

test('libssl 3: the internal functions are where the disassembler of binutils sees them called', {
  skip: skipUnless(LIBSSL, '/usr/bin/objdump'),
}, () => {
  const found = plan(LIBSSL)
  for (const [role, callers] of [
    ['read_internal', ['SSL_read', 'SSL_read_ex']],
    ['write_internal', ['SSL_write', 'SSL_write_ex']],
  ] as const) {
    for (const caller of callers) {
      const text = spawnSync('objdump', ['-d', '--no-show-raw-insn', `--disassemble=${caller}`, LIBSSL], {
        maxBuffer: 1 << 26,
      }).stdout.toString()
      const targets = [...text.matchAll(/\scall\s+([0-9a-f]+) <(?![^>]*@plt)/g)].map((match) =>
        Number.parseInt(match[1] as string, 16),
      )
      // The first load segments of Debian's library are mapped at their file offsets.
      assert.ok(
        targets.includes(point(found, role).functionOffset),
        `${caller} calls ${targets.map((t) => t.toString(16))}`,
      )
    }
  }
})

test('libssl 3, conventional: four functions, entry and return at their first instruction', {
  skip: skipUnless(LIBSSL),
}, () => {
  const found = plan(LIBSSL, 'conventional')
  assert.deepEqual(found.points.map((item) => item.symbol).sort(), [
    'SSL_read',
    'SSL_read_ex',
    'SSL_write',
    'SSL_write_ex',
  ])
  for (const item of found.points) assert.deepEqual(sites(item), [0, 'single_step', 0, 'single_step'])
})

test('libcrypto 3: what memory BIOs pass, on emulated instructions', { skip: skipUnless(LIBCRYPTO) }, () => {
  const found = plan(LIBCRYPTO)
  assert.equal(found.kind, 'openssl_crypto')
  assert.match(found.version, /^3\.\d+\.\d+$/)
  assert.equal(found.points.length, 2)
  // A jump before its arguments move.
  const write = point(found, 'bio_write')
  assert.equal(write.entryCost, 'emulated')
  assert.equal(write.returnOffset, null)
  assert.deepEqual(write.arguments, ['rdi', 'rsi', 'rdx'])
  const grow = point(found, 'buffer_grow')
  assert.equal(grow.symbol, 'BUF_MEM_grow_clean')
  assert.equal(grow.entryCost, 'emulated')
  assert.deepEqual(grow.arguments, ['rdi'])
})

test('node: its own static OpenSSL, every function on an emulated instruction', { skip: skipUnless() }, () => {
  const found = plan(process.execPath)
  assert.equal(found.kind, 'openssl')
  assert.ok(process.versions.openssl?.startsWith(found.version), `${found.version} of ${process.versions.openssl}`)
  const roles = [
    'read',
    'read_ex',
    'write',
    'write_ex',
    'handshake',
    'free',
    'clear',
    'set_fd',
    'set_rfd',
    'set_wfd',
    'bio_write',
  ]
  for (const role of roles) assert.equal(point(found, role).entryCost, 'emulated', role)
  for (const role of roles.slice(0, 5)) assert.equal(point(found, role).returnCost, 'emulated', role)
})

test('prologues: the first emulated instruction with arguments and stack pointer as at entry', {
  skip: skipUnless(),
}, () => {
  const cases: [string, string, [number, string, number | null, string | null]][] = [
    ['push', 'push rbx\n pop rbx\n ret', [0, 'emulated', 0, 'emulated']],
    ['push r12', 'push r12\n pop r12\n ret', [0, 'emulated', 0, 'emulated']],
    ['endbr64 push', 'endbr64\n push rbx\n pop rbx\n ret', [4, 'emulated', 4, 'emulated']],
    ['sub rsp', 'sub rsp, 24\n test edx, edx\n js 1f\n add rsp, 24\n 1: ret', [0, 'single_step', 0, 'single_step']],
    ['xor xor jmp', 'xor eax, eax\n xor r8d, r8d\n jmp 1f\n nop\n 1: ret', [5, 'emulated', 5, 'emulated']],
    ['argument written', 'mov edi, 1\n push rbx\n pop rbx\n ret', [0, 'single_step', 0, 'single_step']],
    ['part of an argument written', 'mov sil, 1\n push rbx\n pop rbx\n ret', [0, 'single_step', 0, 'single_step']],
    ['argument written by implication', 'cqo\n push rbx\n pop rbx\n ret', [0, 'single_step', 0, 'single_step']],
    ['other register written', 'mov rax, rdi\n push rbx\n pop rbx\n ret', [3, 'emulated', 3, 'emulated']],
    ['a loop back to the site', 'mov eax, 8\n 1: nop\n dec eax\n jnz 1b\n ret', [0, 'single_step', 0, 'single_step']],
    ['short nop', 'nop\n ret', [0, 'emulated', 0, 'emulated']],
    ['long nop at the entry', '.byte 0x0f,0x1f,0x44,0,0\n ret', [0, 'emulated', 0, 'emulated']],
    [
      'long nop inside',
      'xor eax, eax\n .byte 0x0f,0x1f,0x44,0,0\n push rbx\n pop rbx\n ret',
      [7, 'emulated', 7, 'emulated'],
    ],
    ['ten-byte nop', '.byte 0x66,0x2e,0x0f,0x1f,0x84,0,0,0,0,0\n ret', null as never],
    ['push of memory', 'push qword ptr [rdi]\n pop rax\n ret', [0, 'single_step', 0, 'single_step']],
    ['push with a wide prefix', '.byte 0x48,0x53\n pop rbx\n ret', [0, 'single_step', 0, 'single_step']],
    ['return only', 'ret', [0, 'single_step', 0, 'single_step']],
  ]
  for (const [name, body, expected] of cases) {
    const found = plan(library(`${name.replaceAll(' ', '_')}.so`, { SSL_read: body, ...WRITE_PLAIN }))
    // A CS prefix makes the kernel refuse the probe, and the plan says so.
    if (expected === null) {
      assert.equal(
        found.points.some((item) => item.role === 'read'),
        false,
        name,
      )
      assert.match(found.note, /SSL_read cannot be probed/)
    } else {
      assert.deepEqual(sites(point(found, 'read')), expected, name)
    }
    assert.deepEqual(sites(point(found, 'write')), [0, 'emulated', 0, 'emulated'], name)
  }
})

test('a role without a return may sit after the stack pointer has moved', { skip: skipUnless() }, () => {
  const found = plan(
    library('free.so', {
      SSL_read: 'push rbx\n pop rbx\n ret',
      ...WRITE_PLAIN,
      SSL_free: 'sub rsp, 24\n test rdi, rdi\n je 1f\n 1: add rsp, 24\n ret',
    }),
  )
  assert.deepEqual(sites(point(found, 'free')), [7, 'emulated', null, null])
})

const PLAIN_FRAME = 'sub rsp, 24\n mov rcx, rsp\n movsxd rdx, edx\n'
const TAIL = 'add rsp, 24\n ret'
const INTERNAL = 'push rbx\n mov rbx, rdi\n pop rbx\n ret'

test('internal functions: followed through calls, tail jumps and a flags argument', { skip: skipUnless() }, () => {
  const found = plan(
    library(
      'internal.so',
      {
        SSL_read: `${PLAIN_FRAME} call ri\n ${TAIL}`,
        SSL_read_ex: 'sub rsp, 8\n call ri\n add rsp, 8\n ret',
        // As from OpenSSL 3.3 on: _ex jumps to _ex2, which has flags before *written.
        SSL_write: `${PLAIN_FRAME} mov r8, rcx\n xor ecx, ecx\n call wi\n ${TAIL}`,
        SSL_write_ex: 'mov r8, rcx\n xor ecx, ecx\n jmp SSL_write_ex2',
        SSL_write_ex2: 'sub rsp, 8\n call wi\n add rsp, 8\n ret',
        ri: `endbr64\n ${INTERNAL}`,
        wi: INTERNAL,
      },
      ['ri', 'wi'],
    ),
  )
  const read = point(found, 'read_internal')
  assert.deepEqual(sites(read), [4, 'emulated', 4, 'emulated'])
  assert.deepEqual(read.arguments, ['rdi', 'rsi', 'rdx', 'rcx'])
  const write = point(found, 'write_internal')
  assert.deepEqual(sites(write), [0, 'emulated', 0, 'emulated'])
  assert.deepEqual(write.arguments, ['rdi', 'rsi', 'rdx', 'r8'])
  assert.equal(found.points.length, 2)
})

test('internal functions are not used when one variant goes another way or arguments are changed', {
  skip: skipUnless(),
}, () => {
  const READ = {
    SSL_read: `${PLAIN_FRAME} call ri\n ${TAIL}`,
    SSL_read_ex: 'sub rsp, 8\n call ri\n add rsp, 8\n ret',
    ri: INTERNAL,
  }
  const variants: Record<string, Record<string, string>> = {
    other_target: { ...READ, SSL_read: `${PLAIN_FRAME} call other\n ${TAIL}`, other: INTERNAL },
    swapped: {
      ...READ,
      SSL_read_ex: 'sub rsp, 8\n mov rax, rsi\n mov rsi, rdx\n mov rdx, rax\n call ri\n add rsp, 8\n ret',
    },
    offset_buffer: { ...READ, SSL_read_ex: 'sub rsp, 8\n add rsi, 16\n call ri\n add rsp, 8\n ret' },
    lost_done: { ...READ, SSL_read_ex: 'sub rsp, 8\n xor ecx, ecx\n call ri\n add rsp, 8\n ret' },
    dear_internal: { ...READ, ri: 'sub rsp, 8\n add rsp, 8\n ret' },
    indirect: { ...READ, SSL_read_ex: 'sub rsp, 8\n call [rdi]\n add rsp, 8\n ret' },
  }
  for (const [name, functions] of Object.entries(variants)) {
    const found = plan(
      library(
        `${name}.so`,
        { ...functions, ...WRITE_PLAIN },
        ['ri', 'other'].filter((symbol) => symbol in functions),
      ),
    )
    assert.deepEqual(
      found.points.map((item) => item.role),
      ['read', 'read_ex', 'write'],
      name,
    )
    for (const role of ['read', 'read_ex'])
      assert.deepEqual(sites(point(found, role)), [0, 'single_step', 0, 'single_step'], name)
  }
})

test('functions that pass straight on are probed where they are entered, once each', { skip: skipUnless() }, () => {
  // gnutls style wrappers: _ex is a bare jump, emulated at its first instruction.
  const found = plan(
    library('bare.so', { SSL_read: 'push rbx\n pop rbx\n ret', SSL_read_ex: 'jmp ri', ri: INTERNAL, ...WRITE_PLAIN }, [
      'ri',
    ]),
  )
  assert.deepEqual(
    found.points.map((item) => item.role),
    ['read', 'read_ex', 'write'],
  )
})

test('what is no ELF file, or a broken one, gets a reason', { skip: skipUnless(LIBSSL) }, () => {
  const write = (name: string, bytes: Buffer): string => {
    const path = join(folder, name)
    writeFileSync(path, bytes)
    return path
  }
  const elf = readFileSync(LIBSSL)
  assert.match(plan(join(folder, 'nothing-here')).reason, /^cannot open: /)
  assert.equal(plan(folder).reason, 'not a regular file')
  assert.equal(plan(write('empty', Buffer.alloc(0))).reason, 'not an ELF file: shorter than an ELF header')
  assert.equal(plan(write('text', Buffer.from('#!/bin/sh\n'.repeat(99)))).reason, 'not an ELF file')
  const narrow = Buffer.from(elf)
  narrow[4] = 1
  assert.equal(plan(write('narrow', narrow)).reason, 'not a 64-bit ELF file')
  const foreign = Buffer.from(elf)
  foreign.writeUInt16LE(243, 18)
  assert.equal(plan(write('foreign', foreign)).reason, 'built for a machine other than x86-64 and aarch64')
  for (const size of [64, 100, 1000, 4096, 100_000, elf.length >> 1, elf.length - 64]) {
    const cut = plan(write('cut', elf.subarray(0, size)))
    assert.notEqual(cut.reason, '', `${size} bytes`)
    assert.deepEqual(cut.points, [])
  }
})

test('damaged files never crash the planner nor lead outside the file', { skip: skipUnless(LIBSSL) }, () => {
  const elf = readFileSync(
    library(
      'whole.so',
      {
        SSL_read: `${PLAIN_FRAME} call ri\n ${TAIL}`,
        SSL_read_ex: 'sub rsp, 8\n call ri\n add rsp, 8\n ret',
        ri: INTERNAL,
        ...WRITE_PLAIN,
      },
      ['ri'],
    ),
  )
  const path = join(folder, 'damaged.so')
  let seed = 7
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((seed / 2 ** 32) * below)
  }
  const VALUES = [0, 1, 0x7f, 0x80, 0xff]
  let hooked = 0
  for (let round = 0; round < 500; round++) {
    const damaged = Buffer.from(elf)
    // Headers and tables more often than padding: the first KiB and the section headers at the end.
    for (let i = random(6); i >= 0; i--) {
      const at = random(3) === 0 ? random(elf.length) : random(2) === 0 ? random(1024) : elf.length - 1 - random(1500)
      damaged[at] = VALUES[random(VALUES.length)] as number
      if (random(2) === 0) damaged.fill(VALUES[random(VALUES.length)] as number, at, Math.min(at + 8, elf.length))
    }
    writeFileSync(path, damaged)
    const found = plan(path)
    if (found.points.length > 0) hooked++
    else assert.notEqual(found.reason, '')
    for (const item of found.points) assert.ok(item.entryOffset < elf.length && (item.returnOffset ?? 0) < elf.length)
  }
  assert.ok(hooked > 0 && hooked < 500, `${hooked} of 500 still looked whole`)
})

test('a wrong argument is a TypeError', { skip: skipUnless() }, () => {
  assert.throws(() => plan(5 as unknown as string), TypeError)
  assert.throws(() => plan('/bin/ls', 'cheap'), TypeError)
})
