import { KafkaBus } from '../../adapters/kafka/bus.js'
import { kafkaOptions } from '../../adapters/kafka/config.js'
import { describeConfig } from '../../core/config/config.js'
import { KAFKA_KEYS } from '../../core/config/shared.js'
import { EXIT, type KlartextError, UsageError } from '../../core/errors.js'
import { checkTopics, createTopics, PARTITIONS_DEFAULT, TOPIC_RULES } from '../../core/topics.js'
import { type Command, type CommandInput, wholeNumber } from '../command.js'
import { CONFIG_OPTIONS, loadConfig, showConfig } from '../config_options.js'

const PARTITIONS_MAX = 10_000
const CONFIG = { kafka: KAFKA_KEYS }

export const topics: Command = {
  name: 'topics',
  usage: 'plan|apply',
  summary: "show or make klartext's topics in Kafka",
  details: `What is there is checked and left as it is. The number of partitions is fixed once the topics are made.\n\n${describeConfig(CONFIG)}`,
  options: {
    partitions: { type: 'string', value: 'N', help: `of the topics divided by connection (${PARTITIONS_DEFAULT})` },
    ...CONFIG_OPTIONS,
  },
  run,
}

async function run(input: CommandInput): Promise<number> {
  const [action, ...more] = input.positionals
  if ((action !== 'plan' && action !== 'apply') || more.length > 0) {
    throw new UsageError('klartext topics: say plan or apply; see klartext topics --help')
  }
  const partitions = wholeNumber(input, 'partitions', PARTITIONS_DEFAULT, 1, PARTITIONS_MAX)
  const loaded = await loadConfig(CONFIG, input)
  if (showConfig(input, loaded, ({ kafka }) => kafkaOptions(kafka))) return EXIT.done
  const bus = await KafkaBus.connect(kafkaOptions(loaded.config.kafka))
  try {
    if (action === 'apply') await createTopics(bus, partitions)
    const there: string[] = []
    for (const [topic, { byConnection, compact, retentionDays }] of TOPIC_RULES) {
      const found = await partitionsOrNone(bus, topic)
      if (found !== null) there.push(topic)
      const rule = `${found ?? (byConnection ? partitions : 1)} partitions, ${compact ? 'compacted' : `${retentionDays} days`}`
      process.stdout.write(`${topic.padEnd(24)} ${(found === null ? 'to make' : 'there').padEnd(8)} ${rule}\n`)
    }
    await checkTopics(bus, there)
  } finally {
    await bus.close()
  }
  return EXIT.done
}

async function partitionsOrNone(bus: KafkaBus, topic: string): Promise<number | null> {
  try {
    return await bus.partitions(topic)
  } catch (error) {
    if ((error as KlartextError).code === 'UNKNOWN_TOPIC') return null
    throw error
  }
}
