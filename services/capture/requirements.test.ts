import assert from 'node:assert/strict'
import { test } from 'node:test'
import { capabilities } from './requirements.js'

test('capabilities: those that load programs, and the one that looks at processes of others', () => {
  const of = (...bits: number[]) =>
    capabilities(
      `CapPrm:\tffffffffffffffff\nCapEff:\t${bits.reduce((all, bit) => all | (1n << BigInt(bit)), 0n).toString(16)}\n`,
    ).met
  const [ptrace, admin, perfmon, bpf] = [19, 21, 38, 39]
  assert.equal(of(ptrace, perfmon, bpf), true)
  assert.equal(of(ptrace, admin), true)
  for (const bits of [[perfmon, bpf], [admin], [ptrace, bpf], [ptrace, perfmon], []])
    assert.equal(of(...bits), false, `${bits}`)
  assert.equal(capabilities('').met, false)
})
