/** One result on its way to the client: encodings, headers, errors before and after the first byte. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { PassThrough, type Transform } from 'node:stream'
import { createBrotliCompress, createDeflate, createGzip, constants as zlib } from 'node:zlib'
import type { Running, Summary } from '../engine/engine.js'
import { asEngineError } from '../engine/engine.js'
import { BlockFraming } from './block_framing.js'
import { contentType } from './formats.js'
import { nativeForRevision } from './native_revision.js'
import { httpStatus } from './status.js'

/** So much is gathered before the first byte leaves: an error in it still becomes a status, a small answer gets its summary. */
const HOLD_BYTES = 256 * 1024
/** With `wait_end_of_query=1`, and for Native with a revision, which is rewritten as a whole. */
const WHOLE_BYTES_MAX = 64 << 20

export interface AnswerOptions {
  readonly format: string
  readonly url: URLSearchParams
  readonly request: IncomingMessage
}

/** Sends the result. Throws only while nothing was sent. */
export async function sendResult(running: Running, response: ServerResponse, options: AnswerOptions): Promise<void> {
  response.once('close', () => running.cancel())
  running.done.catch(() => {})
  try {
    const revision = options.format === 'Native' ? Number(options.url.get('client_protocol_version') ?? 0) : 0
    const whole = revision > 0 || options.url.get('wait_end_of_query') === '1'
    const held: Buffer[] = []
    let size = 0
    const source = running.stream[Symbol.asyncIterator]()
    let ended = false
    while (!ended && size < (whole ? WHOLE_BYTES_MAX : HOLD_BYTES)) {
      const { value, done } = await source.next()
      ended = done === true
      if (!ended) {
        held.push(value as Buffer)
        size += (value as Buffer).length
      }
    }
    if (ended) {
      const summary = await running.done
      setHeaders(response, options, summary, size)
      let bytes: Buffer = Buffer.concat(held)
      if (revision > 0) bytes = nativeForRevision(bytes, revision)
      const coder = encoder(options, response)
      coder.pipe(response)
      coder.end(bytes)
      return
    }
    if (revision > 0) {
      throw new Error(`more than ${WHOLE_BYTES_MAX} bytes of Native with client_protocol_version: add a LIMIT`)
    }
    setHeaders(response, options, null, 0)
    await streamRest(running, source, held, encoder(options, response), response)
  } catch (error) {
    running.cancel()
    throw error
  }
}

async function streamRest(
  running: Running,
  source: AsyncIterator<unknown>,
  held: readonly Buffer[],
  coder: Transform,
  response: ServerResponse,
): Promise<void> {
  coder.pipe(response)
  const broken = new Promise<never>((_, reject) =>
    response.once('close', () => reject(new Error('the client is gone'))),
  )
  broken.catch(() => {})
  const write = async (bytes: Buffer) => {
    if (!coder.write(bytes)) await Promise.race([new Promise((resolve) => coder.once('drain', resolve)), broken])
  }
  try {
    for (const bytes of held) await write(bytes)
    for (let next = await source.next(); next.done !== true; next = await source.next())
      await write(next.value as Buffer)
    await running.done
    coder.end()
  } catch (error) {
    // Too late for a status: the text goes into the body, and the body stays without its end, as a server does it.
    running.cancel()
    coder.unpipe(response)
    if (!response.destroyed) response.write(`\n${asEngineError(error).message}\n`, () => response.destroy())
  }
}

function setHeaders(response: ServerResponse, options: AnswerOptions, summary: Summary | null, size: number): void {
  response.statusCode = 200
  response.setHeader('Content-Type', contentType(options.format))
  response.setHeader('X-ClickHouse-Format', options.format)
  response.setHeader('X-ClickHouse-Summary', summaryJson(summary, size))
}

export function summaryJson(summary: Summary | null, resultBytes: number, writtenRows = 0, writtenBytes = 0): string {
  return JSON.stringify({
    read_rows: String(summary?.readRows ?? 0),
    read_bytes: String(summary?.readBytes ?? 0),
    written_rows: String(writtenRows),
    written_bytes: String(writtenBytes),
    total_rows_to_read: '0',
    result_rows: '0',
    result_bytes: String(resultBytes),
    elapsed_ns: String(summary?.elapsedNs ?? 0),
  })
}

/** Sets Content-Encoding where one was asked for and agreed. */
function encoder({ url, request }: AnswerOptions, response: ServerResponse): Transform {
  if (url.get('compress') === '1') return new BlockFraming()
  if (url.get('enable_http_compression') === '1') {
    const accepted = String(request.headers['accept-encoding'] ?? '')
    // The order in which a server chooses; without brotli's slow default.
    for (const [name, make] of CODERS) {
      if (!new RegExp(`(^|[,\\s])${name}\\s*(;\\s*q=(?!0(\\.0*)?\\s*(,|$))[\\d.]+\\s*)?(,|$)`).test(accepted)) continue
      response.setHeader('Content-Encoding', name)
      response.setHeader('Vary', 'Accept-Encoding')
      return make()
    }
  }
  return new PassThrough()
}

const CODERS: readonly (readonly [string, () => Transform])[] = [
  ['br', () => createBrotliCompress({ params: { [zlib.BROTLI_PARAM_QUALITY]: 3 } })],
  ['gzip', () => createGzip({ level: 3 })],
  ['deflate', () => createDeflate({ level: 3 })],
]

export function sendText(response: ServerResponse, status: number, text: string): void {
  response.statusCode = status
  response.setHeader('Content-Type', 'text/plain; charset=UTF-8')
  response.end(text)
}

/** An error while nothing was sent. */
export function sendError(response: ServerResponse, error: unknown, version: string): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  const known = asEngineError(error)
  const message = /^Code: \d+/.test(known.message)
    ? known.message
    : `Code: 1002. DB::Exception: ${known.message}. (UNKNOWN_EXCEPTION)`
  const code = Number(/^Code: (\d+)/.exec(message)?.[1])
  response.removeHeader('Content-Encoding')
  response.setHeader('X-ClickHouse-Exception-Code', String(code))
  sendText(response, httpStatus(code), `${message} (version ${version})\n`)
}
