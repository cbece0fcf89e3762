/** PostgreSQL on one pooled connection: statements prepared once and run for as long as it lives, transactions over many turns. */
import type { Random } from '../../../services/core/random.js'
import { answer, ask, type Conversation, type Said } from './conversation.js'

const PARAMETERS = 'user\0shop\0database\0orders\0application_name\0pool\0\0'
const STATEMENTS_MAX = 12
const TABLES = ['orders', 'items', 'carts', 'users', 'prices']

function message(type: string, ...parts: (string | Buffer)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)))
  const head = Buffer.from(`${type}0000`, 'latin1')
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

const row = (value: string) => message('D', '\0\x01', int32(value.length), value)
const FIELD = message('T', '\0\x01', 'id\0', '\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0')
const SYNC = message('S')

export class PostgresqlConversation implements Conversation {
  readonly #random: Random
  /** Text by number of the statement. */
  readonly #statements: string[] = []
  #isOpen = false
  #inTransaction = false
  exchanges = 0

  constructor(random: Random) {
    this.#random = random
  }

  turn(): Said[] {
    if (!this.#isOpen) return this.#startup()
    const random = this.#random
    if (this.#statements.length === 0 || (this.#statements.length < STATEMENTS_MAX && random.chance(0.1))) {
      return this.#prepare()
    }
    if (random.chance(0.15)) return this.#query(this.#inTransaction ? 'COMMIT' : 'BEGIN')
    if (random.chance(0.1)) return this.#query(`DELETE FROM ${random.pick(TABLES)} WHERE id = ${random.below(10_000)}`)
    return random.chance(0.08) ? this.#failing() : this.#run(random.chance(0.2) ? 2 + random.below(3) : 1)
  }

  get #ready(): Buffer {
    return message('Z', this.#inTransaction ? 'T' : 'I')
  }

  #startup(): Said[] {
    this.#isOpen = true
    this.exchanges += 1
    const version = message('S', 'server_version\x0015.4\0')
    return [
      ask(int32(8 + PARAMETERS.length), Buffer.from([0, 3, 0, 0]), PARAMETERS),
      answer(message('R', int32(0)), version, message('K', int32(7), int32(9)), this.#ready),
    ]
  }

  /** Preparing alone makes no flow. */
  #prepare(): Said[] {
    const number = this.#statements.length
    const text = `SELECT id FROM ${this.#random.pick(TABLES)} WHERE a${number} = $1`
    this.#statements.push(text)
    return [
      ask(message('P', `s${number}\0${text}\0`, '\0\x01', int32(25)), message('D', `Ss${number}\0`), SYNC),
      answer(message('1'), message('t', '\0\x01', int32(25)), FIELD, this.#ready),
    ]
  }

  #bind(number: number): Buffer {
    const value = `v${this.#random.below(100_000)}`
    const bind = message('B', `\0s${number}\0`, '\0\0\0\x01', int32(value.length), value, '\0\0')
    this.exchanges += 1
    return Buffer.concat([bind, message('E', '\0', int32(0))])
  }

  /** By name: what runs is known from long before. Several in a pipeline have one Sync. */
  #run(count: number): Said[] {
    const random = this.#random
    const asked = Array.from({ length: count }, () => this.#bind(random.below(this.#statements.length)))
    const answered = asked.map(() => {
      const rows = Array.from({ length: random.below(4) }, () => row(`${random.below(1e6)}`))
      return Buffer.concat([message('2'), ...rows, message('C', `SELECT ${rows.length}\0`)])
    })
    return [ask(...asked, SYNC), answer(...answered, this.#ready)]
  }

  #failing(): Said[] {
    const asked = this.#bind(this.#random.below(this.#statements.length))
    const error = message('E', 'SERROR\0VERROR\0C40001\0Mcould not serialize access\0\0')
    // An error within a transaction leaves nothing to do but to end it.
    const status = this.#inTransaction ? message('Z', 'E') : this.#ready
    const said = [ask(asked, SYNC), answer(message('2'), error, status)]
    return this.#inTransaction ? [...said, ...this.#query('ROLLBACK')] : said
  }

  #query(text: string): Said[] {
    this.exchanges += 1
    if (text === 'BEGIN') this.#inTransaction = true
    if (text === 'COMMIT' || text === 'ROLLBACK') this.#inTransaction = false
    const tag = text.startsWith('DELETE') ? 'DELETE 1' : text
    return [ask(message('Q', `${text}\0`)), answer(message('C', `${tag}\0`), this.#ready)]
  }

  finish(): Said[] {
    return this.#isOpen ? [ask(message('X'))] : []
  }
}
