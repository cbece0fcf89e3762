import { NativeSource } from '../../capture/native_source.js'
import type { Flow } from '../../core/flow.js'
import { DecodePipeline } from '../../decode/pipeline.js'
import { defaultPolicy, FlowPolicy } from '../../decode/policy.js'
import { PROTOCOLS } from '../../decode/protocols/registry.js'
import { type Command, type CommandInput, wholeNumber } from '../command.js'
import { sayLosses, takeUntil } from '../live.js'
import { table } from '../output.js'
import { untilStopped } from '../signals.js'

export const top: Command = {
  name: 'top',
  usage: '',
  summary: 'requests, errors and latency per edge, live',
  options: {
    json: { type: 'boolean', help: 'one JSON object per edge and interval' },
    interval: { type: 'string', value: 'N', help: 'seconds between two looks (2)' },
    seconds: { type: 'string', value: 'N', help: 'stop by itself after N seconds' },
  },
  run,
}

/** Latencies kept of one edge and interval; beyond it percentiles are of the first so many. */
const LATENCIES_MAX = 10_000
const EDGES_MAX = 1000
const EDGES_SHOWN = 30

class Edge {
  requests = 0
  errors = 0
  readonly latencies: number[] = []
}

async function run(input: CommandInput): Promise<number> {
  const seconds = wholeNumber(input, 'seconds', 0, 0, 31_536_000)
  const intervalMs = wholeNumber(input, 'interval', 2, 1, 3600) * 1000
  const json = input.values.json === true
  let edges = new Map<string, Edge>()
  const pipeline = new DecodePipeline({
    protocols: PROTOCOLS,
    policy: new FlowPolicy(defaultPolicy('metadata')),
    onFlow: (flow) => count(edges, flow),
    onConnection: () => {},
  })
  const source = new NativeSource()
  source.start()
  const timer = setInterval(() => {
    process.stdout.write(json ? asJson(edges) : asTable(edges, intervalMs))
    edges = new Map()
  }, intervalMs)
  try {
    await takeUntil(untilStopped(seconds), source, source.batches(), (batch) => pipeline.push(batch))
  } finally {
    clearInterval(timer)
  }
  return sayLosses(source)
}

/** A call that is seen at both ends counts at each of them. */
function count(edges: Map<string, Edge>, flow: Flow): void {
  const name = `${flow.capture_side === 'client' ? flow.comm : flow.client_ip}\t${flow.capture_side === 'server' ? flow.comm : flow.server_ip}:${flow.server_port}\t${flow.capture_side}`
  let edge = edges.get(name)
  if (edge === undefined) {
    if (edges.size >= EDGES_MAX) return
    edge = new Edge()
    edges.set(name, edge)
  }
  edge.requests += 1
  if (flow.outcome !== 'ok') edge.errors += 1
  if (edge.latencies.length < LATENCIES_MAX) edge.latencies.push(flow.latency_us)
}

function lines(edges: Map<string, Edge>) {
  return [...edges]
    .sort(([, a], [, b]) => b.requests - a.requests)
    .slice(0, EDGES_SHOWN)
    .map(([name, { requests, errors, latencies }]) => {
      const [client, server, side] = name.split('\t')
      const sorted = latencies.sort((a, b) => a - b)
      const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
      return { client, server, side, requests, errors, p50_us: at(0.5), p99_us: at(0.99) }
    })
}

function asJson(edges: Map<string, Edge>): string {
  return lines(edges)
    .map((line) => `${JSON.stringify(line)}\n`)
    .join('')
}

function asTable(edges: Map<string, Edge>, intervalMs: number): string {
  const rows = lines(edges).map((line) => [
    line.client,
    line.server,
    line.side,
    Math.round((line.requests * 1000) / intervalMs),
    line.errors,
    `${(line.p50_us / 1000).toFixed(1)} ms`,
    `${(line.p99_us / 1000).toFixed(1)} ms`,
  ])
  const clear = process.stdout.isTTY ? '\u001b[H\u001b[2J' : ''
  return `${clear}${table(['CLIENT', 'SERVER', 'SEEN AT', 'REQ/S', 'ERRORS', 'P50', 'P99'], rows)}\n\n`
}
