/**
 * The sites that placement chooses, under real uprobes: each call is counted once at entry and once at return, and the
 * function still returns what it returned. Needs root and an x86-64 kernel with uprobes.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { REPO_ROOT } from '../../services/core/repo_root.js'

const ADDON = join(REPO_ROOT, 'native/build/klartext.node')
const DRIVER = join(REPO_ROOT, 'native/build/test/probe_site_driver')
const CALLS = 5000

interface Point {
  symbol: string
  functionOffset: number
  entryOffset: number
  returnOffset: number | null
  entryCost: string
}
interface Addon {
  planProbes(path: string): { points: Point[] }
}

function reasonToSkip(): string | false {
  if (process.arch !== 'x64') return 'x86-64 only'
  if (process.getuid?.() !== 0) return 'uprobes need root'
  if (!existsSync('/sys/bus/event_source/devices/uprobe/type')) return 'this kernel has no uprobe events'
  if (!existsSync(ADDON) || !existsSync(DRIVER)) return 'native parts are not built (make -C native)'
  return false
}

const folder = mkdtempSync(join(tmpdir(), 'klartext-sites-'))
after(() => rmSync(folder, { recursive: true }))

// Prologues as compilers write them; each returns its size argument, 7. The last two are single-stepped.
const BODIES: Record<string, [offset: number, cost: string, body: string]> = {
  push: [0, 'emulated', 'push rbx\n mov eax, edx\n pop rbx\n ret'],
  push_r12: [0, 'emulated', 'push r12\n mov eax, edx\n pop r12\n ret'],
  endbr_push: [4, 'emulated', 'endbr64\n push rbx\n mov eax, edx\n pop rbx\n ret'],
  branch: [4, 'emulated', 'xor eax, eax\n test edx, edx\n js 1f\n mov eax, edx\n 1: ret'],
  branch_taken: [5, 'emulated', 'mov eax, edx\n cmp eax, 7\n je 1f\n xor eax, eax\n 1: ret'],
  jump: [2, 'emulated', 'mov eax, edx\n jmp 1f\n xor eax, eax\n 1: ret'],
  call: [2, 'emulated', 'mov eax, edx\n call 1f\n ret\n 1: ret'],
  nop: [0, 'emulated', 'nop\n mov eax, edx\n ret'],
  long_nop: [0, 'emulated', '.byte 0x0f, 0x1f, 0x44, 0, 0\n mov eax, edx\n ret'],
  sub: [0, 'single_step', 'sub rsp, 24\n mov eax, edx\n add rsp, 24\n ret'],
  argument: [0, 'single_step', 'mov eax, edx\n mov edi, 0\n push rbx\n pop rbx\n ret'],
}

test('every call is seen once at entry and once at return', { skip: reasonToSkip() }, (t) => {
  const addon = createRequire(import.meta.url)(ADDON) as Addon
  for (const [name, [offset, cost, body]] of Object.entries(BODIES)) {
    const path = join(folder, `${name}.so`)
    const text = ['SSL_read', 'SSL_write'].map(
      (symbol) =>
        `.globl ${symbol}\n.type ${symbol}, @function\n.p2align 4\n${symbol}:\n${body}\n.size ${symbol}, .-${symbol}\n`,
    )
    writeFileSync(`${path}.s`, `.intel_syntax noprefix\n.text\n${text.join('')}.section .note.GNU-stack,"",@progbits\n`)
    assert.equal(spawnSync('gcc', ['-shared', '-nostdlib', '-o', path, `${path}.s`]).status, 0, name)

    const point = addon.planProbes(path).points.find((item) => item.symbol === 'SSL_read')
    assert.ok(point !== undefined, name)
    assert.deepEqual([point.entryOffset - point.functionOffset, point.entryCost], [offset, cost], name)
    const run = spawnSync(DRIVER, [
      path,
      'SSL_read',
      String(point.entryOffset),
      String(point.returnOffset),
      String(CALLS),
    ])
    assert.equal(run.status, 0, `${name}: ${run.stderr}`)
    const [entries, returns, sum, without, withProbes] = run.stdout.toString().trim().split(' ').map(Number)
    assert.deepEqual([entries, returns, sum], [CALLS, CALLS, CALLS * 7], name)
    t.diagnostic(`${name}: ${without} ns per call, ${withProbes} ns with entry and return probe (${cost})`)
  }
})
