/**
 * The schemas that messages in Confluent's frame name by number. What was released lies in schemas/avro/released and is never
 * changed; subjects.json there says which file has which number.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { REPO_ROOT } from '../core/repo_root.js'

export interface ReleasedSchema {
  /** Name in the registry: topic and `-value` (Confluent's TopicNameStrategy). */
  readonly subject: string
  /** Counts from 1 in its subject. */
  readonly version: number
  /** As in the frame of each message; over all subjects. */
  readonly id: number
  /** Avro schema as JSON. */
  readonly schema: string
}

const FOLDER = join(REPO_ROOT, 'schemas/avro/released')

/** By subject and version, ascending. */
export function releasedSchemas(): ReleasedSchema[] {
  const subjects = JSON.parse(readFileSync(join(FOLDER, 'subjects.json'), 'utf8')) as Record<
    string,
    { version: number; id: number; file: string }[]
  >
  return Object.entries(subjects).flatMap(([subject, versions]) =>
    versions.map(({ version, id, file }) => {
      // Clients parse it each time they meet a new number: without the white space of the file.
      const schema = JSON.stringify(JSON.parse(readFileSync(join(FOLDER, file), 'utf8')))
      return { subject, version, id, schema }
    }),
  )
}
