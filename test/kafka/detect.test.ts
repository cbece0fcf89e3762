/** klartext detect as processes, killed and together: each plant is found, stored and told once. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { Ajv } from 'ajv'
import { KafkaBus } from '../../services/adapters/kafka/bus.js'
import type { DetectRun } from '../../services/core/finding.js'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import { createTopics, TOPICS } from '../../services/core/topics.js'
import { RULES_FOLDER, readRules } from '../../services/detect/rules.js'
import { RedisServer, whyNoRedis } from '../redis/server.js'
import { type ServedStore, serveStore } from '../store/served_store.js'
import type { TestKafka } from './server.js'
import { killServices, ServiceProcess, until } from './service_process.js'
import { ownKafka } from './test_kafka.js'

const SLOT_US = 600e6
const kafka = await ownKafka()
const skip = whyNoRedis || (typeof kafka === 'string' ? kafka : false)

describe('detections over Kafka, ClickHouse and Redis', { skip }, () => {
  let served: ServedStore
  let redis: RedisServer
  let bus: KafkaBus
  let environment: Record<string, string>
  const rules = readRules()
  const folder = mkdtempSync(join(tmpdir(), 'klartext-detect-'))

  before(async () => {
    served = await serveStore()
    redis = await RedisServer.start()
    const { brokers } = kafka as TestKafka
    bus = await KafkaBus.connect({ brokers })
    await createTopics(bus, 2)
    environment = { KAFKA_BROKERS: brokers.join(','), CLICKHOUSE_URL: served.url, REDIS_URL: redis.url }
  })
  after(async () => {
    killServices()
    await bus.close()
    await redis.kill()
    await served.close()
    await (kafka as TestKafka).stop()
    rmSync(folder, { recursive: true, force: true })
  })

  const stored = async () =>
    (await served.rows('SELECT uid, rule FROM klartext.findings ORDER BY rule, ts, uid')) as {
      uid: string
      rule: string
    }[]
  async function told(): Promise<Record<string, unknown>[]> {
    const values: Record<string, unknown>[] = []
    await bus.readAll(TOPICS.findings, 0, (records) => {
      values.push(...records.map(({ value }) => JSON.parse(value.toString()) as Record<string, unknown>))
    })
    return values
  }

  test('one is killed with its first finding, two others share what is left: every plant once', async () => {
    const untilUs = Math.floor((Date.now() * 1000 - 20e6) / SLOT_US) * SLOT_US
    const at = `toDateTime64('${new Date(untilUs / 1000).toISOString().slice(0, 19).replace('T', ' ')}', 6, 'UTC')`
    const runs: DetectRun[] = []
    for (const { name, everyUs } of rules) {
      const sql = readFileSync(join(RULES_FOLDER, name, 'positive.sql'), 'utf8')
      await served.store.command(sql.replaceAll("{until:DateTime64(6, 'UTC')}", at))
      // As if it had looked until just before: what follows is made good, slot by slot.
      runs.push({ rule: name, ts: untilUs - everyUs, findings: 0 })
    }
    await served.store.insert('detect_runs', runs, 'before')

    const first = new ServiceProcess('detect', environment)
    await until(
      async () => (await stored()).length > 0,
      () => `nothing is found:\n${first.said}`,
    )
    await first.end('SIGKILL')
    const others = [new ServiceProcess('detect', environment), new ServiceProcess('detect', environment)]
    const foundRules = async () => new Set((await stored()).map(({ rule }) => rule))
    await until(
      async () => (await foundRules()).size === rules.length && (await told()).length >= (await stored()).length,
      () => `findings are missing:\n${others.map(({ said }) => said).join('')}`,
    )
    for (const other of others) {
      await other.ready()
      assert.equal(await other.end('SIGTERM'), 0, other.said)
    }
    const uids = (await told()).map(({ metadata }) => (metadata as { uid: string }).uid)
    assert.equal(new Set(uids).size, uids.length, 'told twice')
    assert.deepEqual(uids.sort(), (await stored()).map(({ uid }) => uid).sort())
    const schema = JSON.parse(readFileSync(join(REPO_ROOT, 'schemas/ocsf/detection_finding.json'), 'utf8'))
    const validate = new Ajv().compile(schema)
    for (const finding of await told()) assert.ok(validate(finding), JSON.stringify(validate.errors))
  })

  test('rules of one’s own, parameters, and what is wrong with them in one line', async () => {
    const own = join(folder, 'rules')
    mkdirSync(join(own, 'any_flow'), { recursive: true })
    const rule = `-- Any flow: there was one.\n-- severity: low\n-- every: 1m\n-- looks back: 1h\n-- suppress: 1h\n
      SELECT 'all' AS subject, toFloat64(count()) AS score, 'there were flows' AS summary, groupArray(1)(flow_id) AS evidence,
      map('n', toString(count())) AS attrs FROM klartext.flows HAVING count() > 0`
    writeFileSync(join(own, 'any_flow/rule.sql'), rule)
    const parameters = join(folder, 'parameters.json')
    const check = async (more: Record<string, string>) => {
      const service = new ServiceProcess('detect', { ...environment, ...more }, ['--check'])
      return [await service.end(), service.rest.trim()]
    }
    writeFileSync(parameters, '{"error_burst": {"z": 3}}')
    const right = { KLARTEXT_DETECT_RULES: own, KLARTEXT_DETECT_PARAMETERS_FILE: parameters }
    assert.deepEqual(await check(right), [0, 'the configuration is right'])
    writeFileSync(parameters, '{"error_burst": {"zz": 3}}')
    const [code, line] = await check(right)
    assert.equal(code, 1)
    assert.match(
      String(line),
      /parameters\.json: rule error_burst has no parameter zz; it has min_requests, min_errors, z, worse$/,
    )
    writeFileSync(join(own, 'any_flow/rule.sql'), rule.replace('severity: low', 'severity: sad'))
    assert.match(String((await check({ KLARTEXT_DETECT_RULES: own }))[1]), /any_flow.*severity must be one of/)
    assert.match(String((await check({ KLARTEXT_DETECT_RULES: join(folder, 'none') }))[1]), /no such file/)
  })
})
