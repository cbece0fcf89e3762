import { NativeSource } from '../../capture/native_source.js'
import { DecodePipeline } from '../../decode/pipeline.js'
import { defaultPolicy, FlowPolicy } from '../../decode/policy.js'
import { PROTOCOLS } from '../../decode/protocols/registry.js'
import { type Command, type CommandInput, wholeNumber } from '../command.js'
import { parseFilter } from '../filter.js'
import { COLUMNS_HELP, FLOW_OUTPUT_OPTIONS, flowOutput, flowWriter, writeHead } from '../flow_output.js'
import { sayLosses, takeUntil } from '../live.js'
import { LineWriter } from '../output.js'
import { untilStopped } from '../signals.js'

export const tail: Command = {
  name: 'tail',
  usage: '[COLUMN=VALUE...]',
  summary: 'live flows of this host, with a filter',
  details:
    'COLUMN=VALUE, COLUMN!=VALUE, COLUMN~PART, COLUMN>N and COLUMN<N; all must hold: klartext tail status_code>499 host~shop\n\n' +
    COLUMNS_HELP,
  options: {
    ...FLOW_OUTPUT_OPTIONS,
    json: { type: 'boolean', help: 'same as --format jsonl' },
    seconds: { type: 'string', value: 'N', help: 'stop by itself after N seconds' },
  },
  run,
}

async function run(input: CommandInput): Promise<number> {
  const matches = parseFilter(input.positionals)
  const seconds = wholeNumber(input, 'seconds', 0, 0, 31_536_000)
  const out = new LineWriter(process.stdout, 1)
  const output = flowOutput(input, process.stdout.isTTY === true && input.values.json !== true)
  const write = flowWriter(output, out)
  const pipeline = new DecodePipeline({
    protocols: PROTOCOLS,
    policy: new FlowPolicy(defaultPolicy('metadata')),
    onFlow: (flow, origin) => {
      if (matches(flow)) write(flow, origin)
    },
    onConnection: () => {},
  })
  const source = new NativeSource()
  source.start()
  writeHead(output, out)
  await takeUntil(untilStopped(seconds), source, source.batches(), async (batch) => {
    pipeline.push(batch)
    await out.ready()
  })
  pipeline.finish()
  await out.end()
  return sayLosses(source)
}
