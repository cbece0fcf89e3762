/** The Bus on a real Kafka: the conformance suite that the memory bus passes too. */
import { after, test } from 'node:test'
import { KafkaBus } from '../../services/adapters/kafka/bus.js'
import { busConformance } from '../conformance/bus.js'
import { findKafka } from './test_kafka.js'

const kafka = await findKafka()
if (typeof kafka === 'string') test('bus', { skip: kafka }, () => {})
else {
  after(() => kafka.stop())
  busConformance(() => KafkaBus.connect({ brokers: kafka.brokers }), { patienceMs: 20_000 })
}
