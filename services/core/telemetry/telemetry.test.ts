import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryBus } from '../../adapters/memory/bus.js'
import { KlartextError } from '../errors.js'
import { Health } from './health.js'
import { LagSampler } from './lag.js'
import { Log } from './log.js'
import { counter, gauge, Histogram, metricsText } from './metrics.js'

function logWorld(format: 'text' | 'json', level: 'debug' | 'info' = 'info') {
  const lines: string[] = []
  const world = { lines, nowMs: 1_790_000_000_000 }
  const log = new Log({ service: 's', format, level, nowMs: () => world.nowMs, write: (line) => lines.push(line) })
  return { ...world, log, later: (ms: number) => (world.nowMs += ms) }
}

test('lines of text and of JSON, with their fields', () => {
  const text = logWorld('text')
  text.log.info('assigned', { partitions: 3, why: 'two words', id: 7n })
  text.log.debug('left out')
  assert.deepEqual(text.lines, ['2026-09-21T14:13:20.000Z info  s: assigned partitions=3 why="two words" id=7'])
  const json = logWorld('json', 'debug')
  json.log.debug('said', { id: 7n })
  assert.deepEqual(JSON.parse(json.lines[0]), {
    time: '2026-09-21T14:13:20.000Z',
    level: 'debug',
    service: 's',
    message: 'said',
    id: '7',
  })
})

test('an error that comes again and again is counted each time and said now and then', () => {
  const { log, lines, later } = logWorld('text')
  const away = new KlartextError('BUS_UNREACHABLE', 'no Kafka answers', { retryable: true })
  for (let i = 0; i < 50; i++) log.failure('decoding', away)
  log.failure('decoding', new KlartextError('CLICKHOUSE_241', 'memory'))
  log.failure('decoding', new Error('our mistake\nsecond line'))
  later(10_001)
  log.failure('decoding', away)
  assert.equal(lines.length, 4)
  assert.match(lines[0], / warn {2}s: decoding code=BUS_UNREACHABLE error="no Kafka answers"$/)
  assert.match(lines[1], / error s: decoding code=CLICKHOUSE error=memory$/)
  assert.match(lines[2], /code=UNEXPECTED error="our mistake \(at .*telemetry\.test/)
  assert.match(lines[3], / left_out=49$/)
  assert.deepEqual(
    [...log.errors],
    [
      ['BUS_UNREACHABLE', 51],
      ['CLICKHOUSE', 1],
      ['UNEXPECTED', 1],
    ],
  )
})

test('metrics as Prometheus reads them', () => {
  const histogram = new Histogram([1, 10])
  for (const value of [0.5, 1, 2, 100]) histogram.observe(value)
  const text = metricsText([
    counter('k_rows_total', 'Rows\nstored.', 7),
    gauge('k_lag', 'Lag.', [
      [{ topic: 'a"b\\', partition: 0 }, 1.5],
      [{ topic: 'c', partition: 1 }, Number.POSITIVE_INFINITY],
    ]),
    histogram.family('k_seconds', 'Time.'),
  ])
  assert.equal(
    text,
    `# HELP k_rows_total Rows\\nstored.
# TYPE k_rows_total counter
k_rows_total 7
# HELP k_lag Lag.
# TYPE k_lag gauge
k_lag{topic="a\\"b\\\\",partition="0"} 1.5
k_lag{topic="c",partition="1"} +Inf
# HELP k_seconds Time.
# TYPE k_seconds histogram
k_seconds_bucket{le="1"} 2
k_seconds_bucket{le="10"} 3
k_seconds_bucket{le="+Inf"} 4
k_seconds_sum 103.5
k_seconds_count 4
`,
  )
})

test('a loop that is silent for too long does not live; what is away makes not ready, with the reason', () => {
  let nowMs = 0
  const health = new Health(() => nowMs, 1_000)
  let store: string | null = null
  health.watch('store', () => store)
  health.set('kafka', 'no Kafka answers')
  assert.deepEqual([health.stuck, health.notReady], [null, 'kafka: no Kafka answers'])
  store = 'refused'
  assert.equal(health.notReady, 'store: refused; kafka: no Kafka answers')
  health.set('kafka', null)
  store = null
  assert.equal(health.notReady, null)
  nowMs = 1_001
  assert.equal(health.stuck, 'no progress for 1 s')
  assert.equal(health.notReady, 'no progress for 1 s')
  health.beat()
  assert.equal(health.stuck, null)
  nowMs = 9_000
  health.stopWatching()
  assert.deepEqual([health.stuck, health.silentMs], [null, 0])
})

test('lag against what was committed, in messages and in seconds', async () => {
  const bus = new MemoryBus()
  await bus.createTopic('t', 2)
  const producer = await bus.producer()
  await producer.send(
    't',
    0,
    Array.from({ length: 5 }, () => ({ key: null, value: Buffer.from('x') })),
  )
  const committed = { topic: 't', partition: 0, committed: 2n, committedMs: 1_000 }
  const idle = { topic: 't', partition: 1, committed: -1n, committedMs: 1_000 }
  const lag = new LagSampler(
    bus,
    () => [committed, idle],
    () => 4_000,
  )
  assert.deepEqual([...lag.lags()], [])
  await lag.sample()
  assert.deepEqual(
    [...lag.lags()],
    [
      { labels: { topic: 't', partition: 0 }, messages: 3, seconds: 3 },
      { labels: { topic: 't', partition: 1 }, messages: 0, seconds: 0 },
    ],
  )
  await bus.close()
})
