/**
 * The two ends of a call as one row: shares of its latency, in a world whose clocks differ and wander; each call once, with what
 * can be known from the ends that saw it.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { A, assertTrue, B, type CallRow, command, near, Part, rows, S, time, useStore } from './calls_world.js'

useStore()

describe('clocks', () => {
  test('five seconds apart, calls both ways: shares are right and the offset is within its error', async () => {
    const part = new Part()
    part.clock('node-b', () => 5 * S)
    for (let i = 0; i < 400; i++) {
      const [client, server] = i % 3 === 0 ? [B, A] : [A, B]
      const delays = { upUs: 150 + part.random.below(3000), downUs: 80 + part.random.below(9000) }
      part.call({
        client,
        server,
        clientPort: 20_000 + i,
        connections: [2 * i, 2 * i + 1],
        atUs: part.fromUs + i * S,
        serverUs: part.random.below(20_000),
        ...delays,
      })
    }
    const found = await part.store()
    assertTrue(found, part.truths)
    for (const row of found) {
      near(Math.abs(Number(row.clock_offset_us)), 5 * S, Number(row.clock_error_us))
      assert.ok(Number(row.clock_error_us) < 500, `${row.clock_error_us}`)
    }
  })

  test('that wander and are set right step by step', async () => {
    const part = new Part()
    part.clock('node-a', (us) => -300_000 + (us - part.fromUs) * 50e-6)
    part.clock('node-b', (us) => (us - part.fromUs) * -50e-6)
    for (let i = 0; i < 500; i++) {
      const delays = { upUs: 30_000 + part.random.below(2000), downUs: 30_000 + part.random.below(2000) }
      part.call({
        client: A,
        server: B,
        clientPort: 20_000 + (i % 5),
        connections: [i % 5, 10 + (i % 5)],
        seqs: [Math.floor(i / 5), Math.floor(i / 5)],
        atUs: part.fromUs + i * S,
        ...delays,
      })
    }
    assertTrue(await part.store(), part.truths)
  })

  test('of one node are one: a delay in one direction only is seen as such', async () => {
    const part = new Part()
    const there = { ...B, node: 'node-a' }
    for (let i = 0; i < 50; i++)
      part.call({
        client: A,
        server: there,
        clientPort: 20_000,
        connections: [3, 4],
        seqs: [i, i],
        atUs: part.fromUs + i * S,
        upUs: 20_000,
        downUs: 0,
      })
    const found = await part.store()
    assertTrue(found, part.truths)
    assert.ok(
      found.every(({ network_request_us, clock_error_us }) => network_request_us === 20_000 && clock_error_us === 0),
    )
  })
})

test('where joins give NULL for what is not there, the rows are the same', async () => {
  const part = new Part()
  for (const [i, sides] of (['both', 'client', 'server', 'both'] as const).entries())
    part.call({
      client: A,
      server: B,
      clientPort: 20_000 + i,
      connections: [2 * i, 2 * i + 1],
      atUs: part.fromUs,
      sides,
    })
  await part.store()
  const span = `since = '${time(part.fromUs - S)}', until = '${time(part.fromUs + S)}'`
  const calls = `SELECT * FROM klartext.calls(${span}) ORDER BY client_flow_id, server_flow_id`
  await command(`CREATE TABLE klartext.calls_with_nulls ENGINE = Memory AS ${calls} SETTINGS join_use_nulls = 1`)
  assert.deepEqual(await rows('SELECT * FROM klartext.calls_with_nulls'), await rows(calls))
})

test('spans side by side have each call once, also those whose two ends lie in different ones', async () => {
  const part = new Part()
  part.clock('node-b', () => 2 * S)
  for (let i = 0; i < 120; i++)
    part.call({
      client: A,
      server: B,
      clientPort: 20_000,
      connections: [71, 72],
      seqs: [i, i],
      atUs: part.fromUs + i * S,
      sides: i % 10 === 0 ? 'server' : 'both',
    })
  const whole = await part.store()
  const apart: CallRow[] = []
  for (let from = -10; from < 130; from += 7)
    apart.push(...(await part.rows(part.fromUs + from * S, part.fromUs + (from + 7) * S)))
  const names = (found: CallRow[]) => found.map(({ id, seen }) => `${id} ${seen}`).sort()
  assert.deepEqual(names(apart), names(whole))
})
