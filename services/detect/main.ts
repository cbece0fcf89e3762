/** The detections as a service: rules over ClickHouse, findings to its table and to Kafka. Wiring only. */
import { ClickHouseStore } from '../adapters/clickhouse/store.js'
import { KafkaBus } from '../adapters/kafka/bus.js'
import { kafkaOptions } from '../adapters/kafka/config.js'
import { TimerScheduler } from '../adapters/memory/timer_scheduler.js'
import { BullScheduler } from '../adapters/redis/bull_scheduler.js'
import { readTextFile } from '../adapters/system/text_file.js'
import type { Scheduler } from '../core/ports/scheduler.js'
import type { ServiceDefinition } from '../core/service.js'
import { checkTopics, TOPICS } from '../core/topics.js'
import { DETECT_CONFIG, type DetectConfig, type RuleParameters, readParameters } from './config.js'
import { Detector } from './detector.js'
import { DetectEngine } from './engine.js'
import { DetectMetrics, detectMetrics } from './metrics.js'
import { FindingPublisher } from './publisher.js'
import type { Rule } from './rule.js'
import { RULES_FOLDER, readRules } from './rules.js'

function rulesOf({ rulesFolder, parametersFile }: DetectConfig): { rules: Rule[]; parameters: RuleParameters } {
  const rules = readRules(RULES_FOLDER, ...(rulesFolder === '' ? [] : [rulesFolder]))
  const parameters = parametersFile === '' ? {} : readParameters(readTextFile(parametersFile), parametersFile, rules)
  return { rules, parameters }
}

export const detectService: ServiceDefinition<typeof DETECT_CONFIG> = {
  name: 'detect',
  summary: 'detections: rules over ClickHouse, findings to its table and to Kafka, each once; any number of them',
  config: DETECT_CONFIG,
  check: ({ kafka, detect }) => {
    kafkaOptions(kafka)
    rulesOf(detect)
  },
  open: async ({ kafka, clickhouse, redis, detect, operations }, { log, health, clock, stopping, waitFor }) => {
    const { rules, parameters } = rulesOf(detect)
    const bus = await waitFor('kafka', () => KafkaBus.connect(kafkaOptions(kafka)))
    await waitFor('topics', () => checkTopics(bus, [TOPICS.findings]))
    const store = new ClickHouseStore({ url: clickhouse.url })
    await waitFor('store', () => store.checkSchema())
    const onFailure = (name: string, error: unknown) => log.failure(`running ${name}`, error)
    const scheduler: Scheduler =
      redis.url === ''
        ? new TimerScheduler(onFailure)
        : await waitFor('redis', () => BullScheduler.open({ url: redis.url, queue: detect.group, onFailure }))
    const metrics = new DetectMetrics()
    const publisher = new FindingPublisher(bus, detect.group)
    const engine = new DetectEngine({
      store,
      rules,
      parameters,
      nowUs: () => clock.nowUs(),
      onFindings: (rule, untilUs, findings) => publisher.publish(rule.name, untilUs, findings),
    })
    const detector = new Detector({ engine, scheduler, metrics, clock, onFailure })
    health.watch('detect', () => detector.notReady)
    await detector.start()
    return {
      run: () => detector.watch(stopping, operations.stuckMs, () => health.beat()),
      stop: async () => {
        await scheduler.close()
        await publisher.close()
        await bus.close()
        await store.close()
      },
      metrics: () => detectMetrics(metrics, publisher.told),
      status: () => ({ rules: rules.map(({ name }) => name) }),
    }
  },
}
