import { readTextFile } from '../../adapters/system/text_file.js'
import { EXIT, KlartextError, UsageError } from '../../core/errors.js'
import type { ConnectionRow } from '../../core/rows.js'
import { DecodePipeline } from '../../decode/pipeline.js'
import { defaultPolicy, FlowPolicy, parsePolicy } from '../../decode/policy.js'
import { PROTOCOLS } from '../../decode/protocols/registry.js'
import { type Command, type CommandInput, text } from '../command.js'
import {
  COLUMNS_HELP,
  FLOW_OUTPUT_OPTIONS,
  type FlowOutput,
  flowOutput,
  flowWriter,
  wantsAttrs,
  writeHead,
} from '../flow_output.js'
import { inputFile } from '../input_file.js'
import { LineWriter, Progress } from '../output.js'
import { ReadSummary } from '../read_summary.js'

export const read: Command = {
  name: 'read',
  usage: 'FILE...',
  summary: 'pcap, pcapng (also gzipped) or segment archive to flows',
  details:
    'Prints one JSON object per flow (--format jsonl, the default when piped), tab-separated values with a line of names\n' +
    '(tsv), or a table (the default on a terminal), and a summary of what was not decoded on standard error. With more\n' +
    'than one FILE each flow carries "file". - is standard input, decoded as it comes: tcpdump -U -w - | klartext\n' +
    'read -. What is not printed is not computed either: a few --columns are faster.\n' +
    'Exit code: 0 done; 1 a file could not be read at all; 3 a file is cut or broken, what came before it was decoded.\n\n' +
    COLUMNS_HELP,
  options: {
    ...FLOW_OUTPUT_OPTIONS,
    policy: { type: 'string', value: 'FILE', help: 'JSON file that says what to keep; by default everything' },
    quiet: { type: 'boolean', short: 'q', help: 'no summary' },
  },
  run,
}

async function run(input: CommandInput): Promise<number> {
  const files = input.positionals
  if (files.length === 0) throw new UsageError('klartext read: name at least one FILE; see klartext read --help')
  const output = flowOutput(input, process.stdout.isTTY === true)
  const policyFile = text(input, 'policy')
  const policy = policyFile === undefined ? defaultPolicy('full') : parsePolicy(readTextFile(policyFile), policyFile)

  const stop = new AbortController()
  const onSignal = () => stop.abort()
  process.once('SIGINT', onSignal)
  process.once('SIGTERM', onSignal)
  const out = new LineWriter(process.stdout)
  writeHead(output, out, files.length > 1)
  const summary = new ReadSummary()
  let exitCode: number = EXIT.done
  for (const file of files) {
    if (stop.signal.aborted) break
    const code = await readFile(file, files.length > 1, output, new FlowPolicy(policy), out, summary, stop.signal)
    // A file that could not be read at all weighs more than one that was cut.
    exitCode = code === EXIT.failed || exitCode === EXIT.failed ? EXIT.failed : Math.max(exitCode, code)
  }
  await out.end()
  process.off('SIGINT', onSignal)
  process.off('SIGTERM', onSignal)
  if (input.values.quiet !== true) process.stderr.write(summary.text())
  return stop.signal.aborted ? INTERRUPTED : exitCode
}

/** As shells say it: 128 + SIGINT. What was read up to then has been printed. */
const INTERRUPTED = 130

async function readFile(
  file: string,
  naming: boolean,
  output: FlowOutput,
  policy: FlowPolicy,
  out: LineWriter,
  summary: ReadSummary,
  signal: AbortSignal,
): Promise<number> {
  const onFlow = flowWriter(output, out, naming ? file : '')
  const pipeline = new DecodePipeline({
    protocols: PROTOCOLS,
    policy,
    withoutAttrs: !wantsAttrs(output),
    onFlow: (flow, origin) => {
      summary.flow(flow)
      onFlow(flow, origin)
    },
    onConnection: (row: ConnectionRow) => summary.connection(row),
    onDecoderFailure: (connection, protocol, error) =>
      process.stderr.write(`${file}: decoder ${protocol} failed on connection ${connection}: ${String(error)}\n`),
  })
  let code: number = EXIT.done
  try {
    const opened = inputFile(file)
    const progress = new Progress(file, opened.sizeBytes)
    const source = opened.open({ onProgress: (bytes) => progress.at(bytes), reuseMemory: true })
    try {
      for await (const batch of source.batches(signal)) {
        pipeline.push(batch)
        if (opened.isPipe) out.send()
        await out.ready()
      }
    } finally {
      progress.clear()
      summary.coverage(source.coverage())
    }
  } catch (error) {
    if (!(error instanceof KlartextError)) throw error
    process.stderr.write(`${error.message}\n`)
    code = error.code === 'CAPTURE_TRUNCATED' || error.code === 'CAPTURE_BROKEN' ? EXIT.losses : EXIT.failed
  }
  pipeline.finish()
  return code
}
