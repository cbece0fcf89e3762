/** Where a test finds Kafka: at KAFKA_BROKERS, or one that it starts. In CI a Kafka that does not start is a failure. */
import { type KafkaOptions, startKafka, type TestKafka } from './server.js'

export type FoundKafka = Pick<TestKafka, 'brokers' | 'stop'>

/** Answers why there is none (the reason to skip) instead of throwing, but in CI. */
export async function findKafka(): Promise<FoundKafka | string> {
  const running = process.env.KAFKA_BROKERS
  if (running !== undefined && running !== '') return { brokers: running.split(','), stop: async () => {} }
  return ownKafka()
}

/** For tests that stop the server or look at its other listeners. */
export async function ownKafka(options: KafkaOptions = {}): Promise<TestKafka | string> {
  try {
    return await startKafka(options)
  } catch (error) {
    if (process.env.CI === 'true') throw error
    return `no Kafka: ${(error as Error).message.split('\n')[0]}`
  }
}
