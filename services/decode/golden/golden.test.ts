/** Every golden file in its plays: whole, cut everywhere, with state saved and restored, with parts missing, joined mid-way. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Flow } from '../../core/flow.js'
import type { Decoder, Protocol } from '../../core/protocol.js'
import { REPO_ROOT } from '../../core/repo_root.js'
import { ConnectionInfo, Segment, SegmentFlag } from '../../core/segment.js'
import { StateReader, StateWriter } from '../../core/state.js'
import { DecodePipeline } from '../pipeline.js'
import { defaultPolicy, FlowPolicy } from '../policy.js'
import { PROTOCOLS } from '../protocols/registry.js'
import { flowTexts, type Golden, readGoldens } from './golden.js'

interface Play {
  /** Pieces of at most so many bytes. */
  readonly pieceBytes?: number
  /** Index of a wire line that the capture lost. */
  readonly without?: number
  /** Bytes of the first line that went by before the capture began. */
  readonly joinedAt?: number
}

function play(
  golden: Golden,
  protocols: readonly Protocol[],
  { pieceBytes = 1 << 20, without = -1, joinedAt = 0 }: Play = {},
): Flow[] {
  const info = new ConnectionInfo(1n)
  Object.assign(info, { clientIp: '10.0.0.1', clientPort: 40_000, serverIp: '10.0.0.2', serverPort: 80 })
  info.transport = golden.transport
  const flows: Flow[] = []
  const pipeline = new DecodePipeline({
    protocols,
    policy: new FlowPolicy(defaultPolicy('full')),
    onFlow: (flow) => flows.push(flow),
    onConnection: () => {},
    onDecoderFailure: (_connection, _protocol, error) => {
      throw error
    },
  })
  const positions = [0, 0]
  const lost = [false, false]
  for (const [i, said] of golden.wire.entries()) {
    const from = i === 0 ? joinedAt : 0
    const size = golden.transport === 'udp' ? said.bytes.length : pieceBytes
    for (let at = from; at < said.bytes.length; at += size) {
      const payload = said.bytes.subarray(at, at + size)
      let flags = joinedAt > 0 ? SegmentFlag.MIDSTREAM : 0
      if (lost[said.direction]) flags |= SegmentFlag.GAP_BEFORE
      if (i !== without) {
        pipeline.push([
          new Segment(info, said.direction, positions[said.direction], payload.length, payload, said.timeUs, 0, flags),
        ])
        lost[said.direction] = false
      } else lost[said.direction] = true
      positions[said.direction] += payload.length
    }
    if (said.closes) {
      pipeline.push([
        new Segment(
          info,
          said.direction,
          positions[said.direction],
          0,
          Buffer.alloc(0),
          said.timeUs,
          0,
          SegmentFlag.CLOSE,
        ),
      ])
    }
    assert.equal(pipeline.checkInvariants(), null)
  }
  pipeline.finish()
  return flows
}

/** The same protocol, but before each call its decoder is thrown away and made again from its saved state. */
function restoring(protocol: Protocol): Protocol {
  return {
    ...protocol,
    open(out, begin) {
      let decoder = protocol.open(out, begin)
      const again = (): Decoder => {
        const state = new StateWriter()
        decoder.save(state)
        const next = protocol.open(out, begin)
        assert.ok(next.restore(new StateReader(state.finish())), 'the saved state is read back')
        decoder = next
        return next
      }
      return {
        parse: (direction, input) => again().parse(direction, input),
        resync: (direction, input) => again().resync(direction, input),
        gap: (direction, sizeBytes, timeUs) => again().gap(direction, sizeBytes, timeUs),
        end: (direction, timeUs) => again().end(direction, timeUs),
        close: (reason, timeUs) => again().close(reason, timeUs),
        handover: () => again().handover?.() ?? null,
        save: (state) => decoder.save(state),
        restore: (state) => decoder.restore(state),
      }
    },
  }
}

for (const protocol of PROTOCOLS) {
  const folder = join(REPO_ROOT, 'services/decode/protocols', protocol.name, 'golden')
  test(`${protocol.name} has goldens`, () => assert.ok(existsSync(folder) && readGoldens(folder).length >= 15))
  for (const golden of readGoldens(folder)) {
    const whole = () => play(golden, PROTOCOLS)
    const expected = golden.flows.map((flow) => flow.text)
    const resources = new Set(golden.flows.map((flow) => flow.resource))
    test(`${protocol.name} ${golden.name}: whole`, () => {
      assert.deepEqual(flowTexts(whole(), golden.flows), expected)
    })
    test(`${protocol.name} ${golden.name}: however it is cut`, () => {
      const uncut = whole()
      for (const pieceBytes of [1, 2, 3, 7, 16, 61])
        assert.deepEqual(play(golden, PROTOCOLS, { pieceBytes }), uncut, `${pieceBytes} bytes`)
    })
    test(`${protocol.name} ${golden.name}: state saved and restored at every byte`, () => {
      const protocols = PROTOCOLS.map(restoring)
      assert.deepEqual(flowTexts(play(golden, protocols, { pieceBytes: 1 }), golden.flows), expected)
    })
    test(`${protocol.name} ${golden.name}: any part lost invents nothing`, () => {
      for (let without = 0; without < golden.wire.length; without++) {
        for (const flow of play(golden, PROTOCOLS, { without, pieceBytes: 11 })) {
          assert.ok(flow.resource === '' || resources.has(flow.resource), `${flow.resource} was never sent`)
          // An answer may only stand beside a request that had it.
          const pair = golden.flows.some(
            (each) => each.resource === flow.resource && each.statusCode === flow.status_code,
          )
          assert.ok(pair || flow.resource === '' || flow.status_code < 200, `${flow.resource} got ${flow.status_code}`)
        }
      }
    })
    if (golden.transport === 'udp') continue
    test(`${protocol.name} ${golden.name}: joined mid-way invents nothing`, () => {
      for (let joinedAt = 1; joinedAt < golden.wire[0].bytes.length; joinedAt++) {
        for (const flow of play(golden, PROTOCOLS, { joinedAt }))
          assert.ok(flow.resource === '' || resources.has(flow.resource))
      }
    })
  }
}
