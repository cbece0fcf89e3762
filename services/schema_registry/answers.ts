/** What the registry answers: the reading half of Confluent's Schema Registry API, versions 5 to 7. */
import type { ReleasedSchema } from './subjects.js'

export interface Answer {
  readonly status: number
  readonly body: unknown
}

const COMPATIBILITY = { compatibilityLevel: 'FULL_TRANSITIVE' }
/** Error codes of Confluent's API. */
const SUBJECT_NOT_FOUND = 40401
const VERSION_NOT_FOUND = 40402
const SCHEMA_NOT_FOUND = 40403
const INVALID_VERSION = 42202

export function answer(schemas: readonly ReleasedSchema[], method: string, path: string): Answer {
  const words = segments(path)
  if (words === null) return failure(400, 400, 'the path is not valid')
  if (method !== 'GET' && method !== 'HEAD') {
    return failure(405, 405, 'this registry is read only: schemas are released with klartext')
  }
  const [first, second, third, fourth, fifth] = words
  if (words.length === 0) return found({})
  if (first === 'config' && words.length <= 2) return found(COMPATIBILITY)
  if (first === 'mode' && words.length <= 2) return found({ mode: 'READONLY' })
  if (first === 'schemas' && second === 'types' && words.length === 2) return found(['AVRO'])
  if (first === 'schemas' && second === 'ids' && third !== undefined) return byId(schemas, third, fourth, words.length)
  if (first === 'subjects') {
    if (words.length === 1) return found([...new Set(schemas.map(({ subject }) => subject))])
    if (third === 'versions' && words.length <= 5) return ofSubject(schemas, second, fourth, fifth)
  }
  return failure(404, 404, 'HTTP 404 Not Found')
}

function byId(schemas: readonly ReleasedSchema[], id: string, what: string | undefined, words: number): Answer {
  const named = schemas.filter((each) => String(each.id) === id)
  if (named.length === 0) return failure(404, SCHEMA_NOT_FOUND, `Schema ${id} not found`)
  if (what === undefined) return found({ schema: named[0].schema })
  if (words > 4) return failure(404, 404, 'HTTP 404 Not Found')
  if (what === 'schema') return found(JSON.parse(named[0].schema))
  if (what === 'versions') return found(named.map(({ subject, version }) => ({ subject, version })))
  if (what === 'subjects') return found(named.map(({ subject }) => subject))
  return failure(404, 404, 'HTTP 404 Not Found')
}

function ofSubject(
  schemas: readonly ReleasedSchema[],
  subject: string,
  version: string | undefined,
  what: string | undefined,
): Answer {
  const versions = schemas.filter((each) => each.subject === subject)
  if (versions.length === 0) return failure(404, SUBJECT_NOT_FOUND, `Subject '${subject}' not found.`)
  if (version === undefined) return found(versions.map((each) => each.version))
  const isLatest = version === 'latest' || version === '-1'
  if (!isLatest && !/^[1-9]\d{0,8}$/.test(version)) {
    return failure(422, INVALID_VERSION, `The specified version '${version}' is not a valid version id.`)
  }
  const wanted = isLatest ? versions.at(-1) : versions.find((each) => String(each.version) === version)
  if (wanted === undefined) return failure(404, VERSION_NOT_FOUND, `Version ${version} not found.`)
  if (what === 'schema') return found(JSON.parse(wanted.schema))
  if (what !== undefined) return failure(404, 404, 'HTTP 404 Not Found')
  return found({ subject, version: wanted.version, id: wanted.id, schema: wanted.schema })
}

/** Of the path, decoded; null where it cannot be. */
function segments(path: string): string[] | null {
  try {
    return path
      .replace(/[?#].*$/s, '')
      .split('/')
      .filter((word) => word !== '')
      .map(decodeURIComponent)
  } catch {
    return null
  }
}

const found = (body: unknown): Answer => ({ status: 200, body })

function failure(status: number, code: number, message: string): Answer {
  return { status, body: { error_code: code, message } }
}
