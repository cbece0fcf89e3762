import type { Command } from '../command.js'
import { convert } from './convert.js'
import { read } from './read.js'
import { record } from './record.js'

export const COMMANDS: readonly Command[] = [read, convert, record]
