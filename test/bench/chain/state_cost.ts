/**
 * What it costs to write down, at every tick, each connection that was touched since the last one: against decoding alone, and
 * against a bound for any cheaper scheme, which would still have to write each connection down once in a while (5 s).
 */
import { decodeSegmentBatch } from '../../../services/core/wire/segment_batch.js'
import { DecodePipeline } from '../../../services/decode/pipeline.js'
import { defaultPolicy, FlowPolicy } from '../../../services/decode/policy.js'
import { PROTOCOLS } from '../../../services/decode/protocols/registry.js'
import { TALKS, type Talk } from '../../fakes/conversations/talks.js'
import { talks } from './traffic.js'

const CONNECTIONS = 400
const EXCHANGES = 60_000
/** Exchanges per second that a worker takes in the reckoning: a tick of 200 ms has a fifth of them. */
const RATE = 20_000
const TICK_MS = 200
const RARE_TICKS = 25

interface Cost {
  readonly cpuSeconds: number
  readonly states: number
  readonly bytes: number
}

function decode(messages: readonly Buffer[], ticks: number, everyTicks: number): Cost {
  const pipeline = new DecodePipeline({
    protocols: PROTOCOLS,
    policy: new FlowPolicy(defaultPolicy('metadata')),
    onFlow: () => {},
    onConnection: () => {},
  })
  pipeline.keepChanges()
  const perTick = messages.length / ticks
  let [states, bytes, tick] = [0, 0, 0]
  const cpu = process.cpuUsage()
  for (const [i, message] of messages.entries()) {
    pipeline.push(decodeSegmentBatch(message).segments, i)
    if (i + 1 < (tick + 1) * perTick) continue
    tick += 1
    if (everyTicks === 0 || tick % everyTicks !== 0) continue
    for (const { value } of pipeline.takeCheckpoint()) {
      states += 1
      bytes += value?.length ?? 0
    }
  }
  const { user, system } = process.cpuUsage(cpu)
  return { cpuSeconds: (user + system) / 1e6, states, bytes }
}

function stateCost(talk: Talk): void {
  const { messages, exchanges } = talks(talk, CONNECTIONS, EXCHANGES)
  // A tick cannot be shorter than a message here: as many messages as there are ticks at least.
  const ticks = Math.min(messages.length, Math.round(exchanges / ((RATE * TICK_MS) / 1000)))
  decode(messages, ticks, 1)
  const rounds = [0, 1, RARE_TICKS].map(
    (every) => [1, 2, 3].map(() => decode(messages, ticks, every)).sort((a, b) => a.cpuSeconds - b.cpuSeconds)[1],
  )
  const [none, each, rare] = rounds
  const us = (cost: Cost) => ((cost.cpuSeconds / exchanges) * 1e6).toFixed(1).padStart(5)
  const perTick = Math.round(each.states / ticks)
  console.log(
    `  ${talk.padEnd(10)} ${us(none)} µs an exchange without, ${us(each)} with each touched connection at each tick ` +
      `(${perTick} states, ${Math.round(each.bytes / ticks / 1024)} KiB a tick; ${Math.round(each.bytes / exchanges)} bytes an exchange), ` +
      `${us(rare)} with each once in 5 s`,
  )
}

export function stateCosts(): void {
  console.log(
    `checkpoints: CPU of decoding ${CONNECTIONS} connections, ${RATE} exchanges/s at a tick of ${TICK_MS} ms, medians of three`,
  )
  for (const talk of TALKS) stateCost(talk)
}
