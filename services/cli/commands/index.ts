import type { Command } from '../command.js'
import { convert } from './convert.js'
import { demo } from './demo.js'
import { doctor } from './doctor.js'
import { read } from './read.js'
import { record } from './record.js'
import { sql } from './sql.js'
import { tail } from './tail.js'
import { top } from './top.js'
import { up } from './up.js'

export const COMMANDS: readonly Command[] = [demo, up, read, sql, tail, top, doctor, record, convert]
