/** A member of a group in a process of its own: `node member.js BROKERS TOPIC GROUP [PRODUCERS]`. Says on standard output what it reads. */
import { KafkaBus } from '../../services/adapters/kafka/bus.js'

const [brokers, topic, group, producers = '0'] = process.argv.slice(2)
const bus = await KafkaBus.connect({ brokers: brokers.split(',') })
for (let i = 0; i < Number(producers); i++) await bus.producer({ transactionalId: `${group}-${i}` })
const consumer = await bus.consumer(group)
await consumer.subscribe(topic, async (partitions) => console.log(JSON.stringify({ assigned: partitions })))
process.on('SIGUSR2', () => {
  const { user, system } = process.cpuUsage()
  console.log(JSON.stringify({ cpuUs: user + system }))
})
for (;;) {
  for (const { partition, offset } of await consumer.poll(1 << 20, 1_000)) {
    console.log(JSON.stringify({ partition, offset: Number(offset) }))
  }
}
