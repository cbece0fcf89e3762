/** Request bodies: decompressed, bounded, in memory or in a file. */
import { createWriteStream } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { type Readable, Transform, type TransformCallback } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib'
import { engineError } from '../engine/statement.js'

const TOO_LARGE = (bytesMax: number) => engineError(307, `the request body exceeds ${bytesMax} bytes`, 'TOO_MANY_BYTES')

class Limit extends Transform {
  readonly #bytesMax: number
  #size = 0

  constructor(bytesMax: number) {
    super()
    this.#bytesMax = bytesMax
  }

  override _transform(chunk: Buffer, _: BufferEncoding, done: TransformCallback): void {
    this.#size += chunk.length
    if (this.#size > this.#bytesMax) done(TOO_LARGE(this.#bytesMax))
    else done(null, chunk)
  }
}

/** The steps between the wire and plain bytes. */
function steps(request: IncomingMessage): [] | [Transform] {
  switch (request.headers['content-encoding'] ?? '') {
    case '':
    case 'identity':
      return []
    case 'gzip':
    case 'x-gzip':
      return [createGunzip()]
    case 'deflate':
      return [createInflate()]
    case 'br':
      return [createBrotliDecompress()]
    default:
      throw engineError(
        48,
        `Content-Encoding ${request.headers['content-encoding']} is not served here: gzip, deflate and br are`,
        'NOT_IMPLEMENTED',
      )
  }
}

export async function readBody(request: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const parts: Buffer[] = []
  await through(request, bytesMax, async (plain) => {
    for await (const part of plain) parts.push(part as Buffer)
  })
  return Buffer.concat(parts)
}

/** Answers the size. `head` is written first. */
export async function bodyToFile(
  request: IncomingMessage,
  bytesMax: number,
  path: string,
  head: Buffer,
): Promise<number> {
  const file = createWriteStream(path, { mode: 0o600, flags: 'wx' })
  if (head.length > 0) file.write(head)
  await through(request, bytesMax, (plain) => pipeline(plain, file))
  return file.bytesWritten
}

async function through(
  request: IncomingMessage,
  bytesMax: number,
  sink: (plain: Readable) => Promise<void>,
): Promise<void> {
  const limit = new Limit(bytesMax)
  try {
    await Promise.all([pipeline([request, ...steps(request), limit] as never), sink(limit)])
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code?.startsWith('Z_') || code?.startsWith('ERR_BROTLI') || code?.startsWith('ERR_PADDING')) {
      throw engineError(
        354,
        `the request body cannot be decompressed: ${(error as Error).message}`,
        'ZLIB_INFLATE_FAILED',
      )
    }
    // As the engine says it of its own files.
    if (code === 'ENOSPC' || code === 'EDQUOT') {
      throw engineError(243, 'No space left on device for the request body', 'NOT_ENOUGH_SPACE')
    }
    throw error
  }
}
