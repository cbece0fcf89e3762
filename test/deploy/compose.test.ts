/** docker-compose.yml and what it refers to, as far as that can be tried where no Docker runs. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { KafkaBus } from '../../services/adapters/kafka/bus.js'
import { kafkaOptions } from '../../services/adapters/kafka/config.js'
import { readWords } from '../../services/cli/command.js'
import { COMMANDS } from '../../services/cli/commands/index.js'
import { readConfig } from '../../services/core/config/config.js'
import { KAFKA_KEYS } from '../../services/core/config/shared.js'
import { REPO_ROOT } from '../../services/core/repo_root.js'
import { createTopics } from '../../services/core/topics.js'
import { startKafka } from '../kafka/server.js'
import { ownKafka } from '../kafka/test_kafka.js'
import { type ComposeFile, composeProblems } from './compose.js'

const COMPOSE = parse(readFileSync(join(REPO_ROOT, 'docker-compose.yml'), 'utf8'), { merge: true }) as ComposeFile
const OURS = Object.entries(COMPOSE.services).filter(([, { image }]) => image === 'klartext:local')

test('the file holds to the Compose Specification, and all it names is there', () => {
  assert.deepEqual(composeProblems(COMPOSE, REPO_ROOT), [])
  assert.ok(OURS.length >= 3)
})

test('the check finds what is wrong', () => {
  const wrong = {
    services: {
      a: { image: 'x:latest', ports: ['80:80'], volumes: ['data:/x', './nowhere:/y'], environment: { A: '$' + '{B}' } },
      b: { depends_on: { a: { condition: 'service_healthy' }, c: { condition: 'soon' } }, comand: ['x'] },
    },
  } as unknown as ComposeFile
  assert.equal(composeProblems(wrong, REPO_ROOT).length, 10)
})

test('each command is one that klartext has, with options it knows', async () => {
  for (const [service, { command }] of OURS) {
    const [name, ...words] = command ?? []
    assert.ok(Object.hasOwn(COMMANDS, name), `${service}: klartext has no command ${name}`)
    readWords(await COMMANDS[name](), words)
  }
})

test('each variable of its environment is one that klartext reads', () => {
  const folder = join(REPO_ROOT, 'services')
  const read = readdirSync(folder, { recursive: true })
    .map(String)
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .map((name) => readFileSync(join(folder, name), 'utf8'))
    .join('\n')
  for (const [service, { environment = {} }] of OURS) {
    for (const name of Object.keys(environment)) assert.match(read, new RegExp(`\\b${name}\\b`), `${service}: ${name}`)
    if (environment.KAFKA_BROKERS === undefined) continue
    const sources = { file: null, environment, readText: () => '' }
    kafkaOptions(readConfig({ kafka: KAFKA_KEYS }, sources).config.kafka)
  }
})

const probe = await ownKafka()
if (typeof probe !== 'string') await probe.stop()

test('Kafka starts with its settings and takes klartext’s topics', {
  skip: typeof probe === 'string' ? probe : false,
}, async () => {
  // The image turns KAFKA_A_B into a.b. Listeners and folders are the test's own.
  const own = /^(KAFKA_.*LISTENER.*|KAFKA_CONTROLLER_QUORUM_VOTERS|KAFKA_LOG_DIRS)$/
  const properties = Object.fromEntries(
    Object.entries(COMPOSE.services.kafka.environment ?? {})
      .filter(([name]) => !own.test(name))
      .map(([name, value]) => [name.slice('KAFKA_'.length).toLowerCase().replaceAll('_', '.'), value]),
  )
  assert.equal(properties['group.min.session.timeout.ms'], '2000')
  const kafka = await startKafka({ properties })
  try {
    const bus = await KafkaBus.connect({ brokers: kafka.brokers })
    await createTopics(bus, 12)
    await bus.close()
  } finally {
    await kafka.stop()
  }
})
