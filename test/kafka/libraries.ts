/** The jars of Apache Kafka, copied by Maven into the user's cache: test/kafka/pom.xml says which version. */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { REPO_ROOT } from '../../services/core/repo_root.js'

const POM = join(REPO_ROOT, 'test/kafka/pom.xml')
const MAVEN_MS_MAX = 300_000

/** Folder with the jars. Throws an error that names what is missing: Java, Maven or the network. */
export async function kafkaLibraries(): Promise<string> {
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'klartext')
  const digest = createHash('sha256').update(readFileSync(POM)).digest('hex').slice(0, 12)
  const folder = join(cache, `kafka-${digest}`)
  if (existsSync(folder)) return folder
  mkdirSync(cache, { recursive: true })
  // Whole or not at all, also when two tests begin at once.
  const partial = `${folder}.${process.pid}`
  const words = ['-q', '-B', '-f', POM, 'dependency:copy-dependencies', `-DoutputDirectory=${partial}`]
  try {
    await promisify(execFile)('mvn', words, { timeout: MAVEN_MS_MAX })
    renameSync(partial, folder)
  } catch (error) {
    rmSync(partial, { recursive: true, force: true })
    if (!existsSync(folder)) throw new Error(`mvn could not copy Kafka's jars: ${firstLine(error)}`)
  }
  return folder
}

function firstLine(error: unknown): string {
  const { stdout = '', message } = error as Error & { stdout?: string }
  const line = stdout.split('\n').find((text) => text.includes('ERROR')) ?? message
  return line.split('\n')[0]
}
