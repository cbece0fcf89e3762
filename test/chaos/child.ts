/** What the processes of the chaos run have in common: they die at a call of theirs when told by SIGUSR2, and end on SIGTERM. */
import { KafkaBus } from '../../services/adapters/kafka/bus.js'
import type { Bus } from '../../services/core/ports/bus.js'
import { Random } from '../../services/core/random.js'
import { Life, type Odds } from '../sim/life.js'
import { MortalBus } from '../sim/mortal_bus.js'

/** Per call, once it is to die. */
const DIE = 0.1

export interface ChildOptions {
  readonly brokers: readonly string[]
  readonly storeUrl: string
  readonly seed: number
  readonly name: string
}

export interface Running {
  run(): Promise<void>
  stop(): Promise<void>
  readonly metrics: object
}

type Start = (bus: Bus, life: Life, options: ChildOptions) => Promise<Running>

/** Ends with 1 where it cannot start or go on. */
export async function live(start: Start): Promise<void> {
  try {
    await run(start)
  } catch (error) {
    onError(error)
    process.exit(1)
  }
}

async function run(start: Start): Promise<void> {
  const options = JSON.parse(process.argv[2]) as ChildOptions
  const odds: Odds = { die: 0, fail: 0, stall: 0 }
  const life = new Life(new Random(options.seed), odds, { onDeath: () => process.kill(process.pid, 'SIGKILL') })
  process.on('SIGUSR2', () => (odds.die = DIE))
  const bus = await KafkaBus.connect({ brokers: options.brokers })
  const running = await start(new MortalBus(bus, life), life, options)
  process.once('SIGTERM', () => {
    void running.stop().then(async () => {
      await bus.close()
      process.stdout.write(`${JSON.stringify(running.metrics)}\n`, () => process.exit(0))
    })
  })
  await running.run()
}

export const onError = (error: unknown): void => {
  const { code, message } = error as { code?: string; message: string }
  console.error(`${code ?? 'error'}: ${message}`)
}
