/** The command behind npm run test:chaos. */
import { runChaos } from './chaos.js'

export async function main(seed: number, kills: number, isQuiet: boolean): Promise<number> {
  const say = (line: string) => {
    if (!isQuiet) console.log(line)
  }
  const { differences, figures } = await runChaos({ seed, kills, say })
  for (const line of figures) console.log(line)
  if (differences !== '') console.log(`DIFFERENCES\n${differences}`)
  console.log(`seed ${seed}: ${differences === '' ? 'nothing lost, nothing doubled' : 'FAILED'}`)
  return differences === '' ? 0 : 1
}
