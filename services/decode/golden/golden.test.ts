/**
 * Every golden file in its plays. The same flows must come out however the bytes are cut, with decoder state saved and
 * restored before every call, and with either direction late. With any part lost, and joined at any byte, nothing may be
 * invented, mispaired or called complete that is not; what ended before a loss stays as it was, what begins after it is
 * found again.
 *
 * Late means: held back while the other direction goes on, capture times kept. Answers may be late by any number of
 * segments. Requests may be late by one, as when two threads of a client hand over a write and a read in turn; beyond that
 * a decoder would have to hold back answers in case their requests still come, so that only inventing is ruled out.
 */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Flow } from '../../core/flow.js'
import type { Protocol } from '../../core/protocol.js'
import { REPO_ROOT } from '../../core/repo_root.js'
import { type Segment, TO_CLIENT, TO_SERVER } from '../../core/segment.js'
import { PROTOCOLS } from '../protocols/registry.js'
import { faultOf, foundAgain, spanUs } from './fault.js'
import { flowTexts, type Golden, readGoldens, segmentsOf } from './golden.js'
import { inTimeOrder, type Observed, observe } from './observe.js'
import { restoring } from './restoring.js'
import { cut, cutAt, cutNearEnds, joined, joinedAt, late, without, withoutTrace } from './segments.js'

/** Only this protocol: `npm run test:golden -- NAME`. */
const ONLY = process.env.KLARTEXT_GOLDEN
const PIECES = [1, 2, 3, 7, 16, 61]
/** Cut in two at each byte of so many; longer ones at evenly spread places. */
const CUTS_MAX = 400
/** Pieces of a line that are lost one at a time. */
const LOST_PIECE_BYTES = 13

function steps(size: number, max: number): number[] {
  const step = Math.max(1, Math.ceil(size / max))
  return Array.from({ length: Math.ceil((size - 1) / step) }, (_, i) => 1 + i * step).filter((at) => at < size)
}

const flowsOf = (segments: readonly Segment[]) => observe(segments, PROTOCOLS).flows
const linesOf = (segments: readonly Segment[], protocols: readonly Protocol[] = PROTOCOLS) =>
  observe(segments, protocols).lines

function invented(whole: Observed, seen: Observed, how: string): void {
  for (const exchange of seen.exchanges) {
    const fault = faultOf(exchange, whole.exchanges)
    if (fault !== null) assert.fail(`${how}: ${fault}: ${JSON.stringify(exchange)}`)
  }
}

/** What ended before the loss is as it was; what began after it is found again. */
function resumed(golden: Golden, whole: Observed, seen: Observed, lost: Segment, how: string): void {
  if (golden.excused.has('resuming')) return
  for (const exchange of whole.exchanges) {
    const { first, last } = spanUs(exchange)
    if (last < lost.timeUs) {
      const same = seen.exchanges.some(
        (each) => spanUs(each).last === last && JSON.stringify(each) === JSON.stringify(exchange),
      )
      assert.ok(same, `${how}: over before the loss, yet changed: ${exchange.method} ${exchange.resource}`)
    } else if (first > lost.timeUs) {
      const { request, answer } = foundAgain(exchange, seen.exchanges)
      assert.ok(request, `${how}: not decoded after the loss: request ${exchange.method} ${exchange.resource}`)
      assert.ok(answer, `${how}: not decoded after the loss: answer to ${exchange.method} ${exchange.resource}`)
    }
  }
}

/** For streams; a datagram is whole or lost. */
function anyCut(golden: Golden, segments: readonly Segment[], expected: readonly string[]): void {
  const uncut = linesOf(segments)
  for (const pieceBytes of PIECES) assert.deepEqual(linesOf(cut(segments, pieceBytes)), uncut, `${pieceBytes} bytes`)
  for (const [i, { length }] of segments.entries()) {
    for (const at of steps(length, CUTS_MAX)) assert.deepEqual(linesOf(cutAt(segments, i, at)), uncut, `${i}, ${at}`)
  }
  assert.deepEqual(flowTexts(flowsOf(joined(segments)), golden.flows), expected, 'segments joined')
}

function plays(protocol: Protocol, golden: Golden): void {
  const name = `${protocol.name} ${golden.name}`
  const segments = segmentsOf(golden)
  const stream = golden.transport !== 'udp'
  const expected = golden.flows.map((flow) => flow.text)

  test(`${name}: whole`, () => {
    assert.ok(golden.why !== '', 'says why it matters')
    assert.deepEqual(flowTexts(flowsOf(segments), golden.flows), expected)
  })
  if (stream) test(`${name}: however it is cut`, () => anyCut(golden, segments, expected))
  test(`${name}: state saved and restored before every call`, () => {
    const protocols = PROTOCOLS.map((each) => restoring(each))
    const uncut = linesOf(segments)
    assert.deepEqual(linesOf(segments, protocols), uncut)
    assert.deepEqual(linesOf(cutNearEnds(segments, 1), protocols), uncut)
  })
  test(`${name}: without attributes nothing else differs`, () => {
    const kept = (flows: readonly Flow[]) => flows.map((flow) => ({ ...flow, attrs: {} }))
    assert.deepEqual(kept(observe(segments, PROTOCOLS, true).flows), kept(flowsOf(segments)))
  })
  test(`${name}: directions late`, () => {
    const whole = observe(segments, PROTOCOLS)
    const inTime = inTimeOrder(whole.flows)
    for (const [direction, by, what] of [
      [TO_SERVER, 1, 'late requests'],
      [TO_SERVER, 3, 'any'],
      [TO_CLIENT, 1, 'late answers'],
      [TO_CLIENT, 3, 'late answers'],
      [TO_CLIENT, 99, 'late answers'],
    ] as const) {
      const seen = observe(late(segments, direction, by), PROTOCOLS)
      if (what === 'any' || golden.excused.has(what)) invented(whole, seen, `${what} by ${by}`)
      else assert.deepEqual(inTimeOrder(seen.flows), inTime, `${what} by ${by}`)
    }
  })
  test(`${name}: any part lost`, () => {
    const whole = observe(segments, PROTOCOLS)
    const pieces = cutNearEnds(segments, LOST_PIECE_BYTES)
    for (const [what, all] of [
      ['line', segments],
      ['piece', pieces],
    ] as const) {
      for (const [i, lost] of all.entries()) {
        if (lost.length === 0) continue
        const how = `${what} ${i} lost`
        const seen = observe(without(all, i), PROTOCOLS)
        invented(whole, seen, how)
        resumed(golden, whole, seen, lost, how)
        if (!stream) invented(whole, observe(withoutTrace(all, i), PROTOCOLS), `${how} in the network`)
      }
    }
  })
  test(`${name}: joined at any byte`, () => {
    const whole = observe(segments, PROTOCOLS)
    for (const [i, { length }] of segments.entries()) {
      for (const at of stream ? [0, ...steps(length, CUTS_MAX)] : [0]) {
        invented(whole, observe(joinedAt(segments, i, at), PROTOCOLS), `joined at segment ${i}, byte ${at}`)
      }
    }
  })
}

for (const protocol of PROTOCOLS) {
  if (ONLY !== undefined && protocol.name !== ONLY) continue
  const folder = join(REPO_ROOT, 'services/decode/protocols', protocol.name, 'golden')
  const goldens = existsSync(folder) ? readGoldens(folder) : []
  test(`${protocol.name} has goldens`, () => assert.ok(goldens.length > 0))
  for (const golden of goldens) plays(protocol, golden)
}
