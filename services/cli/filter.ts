/** `column=value` words as one predicate over flows. */
import { UsageError } from '../core/errors.js'
import type { Flow } from '../core/flow.js'
import { columnNamed } from './flow_output.js'

const WORD = /^([a-z_0-9]+)(!=|=|~|>|<)(.*)$/s

export function parseFilter(words: readonly string[]): (flow: Flow) => boolean {
  const tests = words.map((word) => {
    const match = WORD.exec(word)
    if (match === null) throw new UsageError(`"${word}" is no filter; write COLUMN=VALUE, COLUMN~PART or COLUMN>N`)
    const [, name, operator, value] = match
    const column = columnNamed(name)
    if ((operator === '>' || operator === '<') && (value.trim() === '' || Number.isNaN(Number(value)))) {
      throw new UsageError(`"${word}" compares with something that is no number`)
    }
    return test(column, operator, value)
  })
  return (flow) => tests.every((each) => each(flow))
}

function test(name: keyof Flow, operator: string, value: string): (flow: Flow) => boolean {
  switch (operator) {
    case '=':
      return (flow) => String(flow[name]) === value
    case '!=':
      return (flow) => String(flow[name]) !== value
    case '~':
      return (flow) => String(flow[name]).includes(value)
    case '>':
      return (flow) => Number(flow[name]) > Number(value)
    default:
      return (flow) => Number(flow[name]) < Number(value)
  }
}
