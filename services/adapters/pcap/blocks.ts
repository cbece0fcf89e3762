/** The bytes of a capture, in blocks, from a file, a pipe or a stream, unpacked where they are gzip'ed. */
import { readSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { addAbortSignal, Readable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { createGunzip } from 'node:zlib'
import { KlartextError } from '../../core/errors.js'

const FILE_BLOCK_BYTES = 1 << 20
/** Memory that is used again and again should stay in the processor's cache. */
const REUSED_BLOCK_BYTES = 1 << 18
/** What a pipe gives at once; a larger block would be mostly empty, and payloads pin their block. */
const PIPE_BLOCK_BYTES = 1 << 16
const GZIP_MAGIC = 0x1f8b

export interface BlockReaderOptions {
  readonly name: string
  readonly onProgress: (bytesRead: number) => void
  /** What is left of the block before; the next block begins with it. */
  readonly rest: () => Buffer
  /** Every block of a plain file lies in the same memory: it is valid until the next one is asked for. */
  readonly reuse: boolean
  /** Ends a stream that is waited for. */
  readonly signal: AbortSignal | undefined
}

export async function* readBlocks(input: string | Readable, options: BlockReaderOptions): AsyncGenerator<Buffer> {
  try {
    yield* input instanceof Readable ? streamBlocks(input, options) : fileBlocks(input, options)
  } catch (error) {
    if (options.signal?.aborted) return
    throw asKlartextError(error, options.name)
  }
}

/** Reads behind the rest of the block before, so that nothing is copied but that rest. */
async function* fileBlocks(path: string, options: BlockReaderOptions): AsyncGenerator<Buffer> {
  const file = await open(path, 'r')
  try {
    const plain = (await file.stat()).isFile()
    const reuse = plain && options.reuse
    const blockBytes = reuse ? REUSED_BLOCK_BYTES : plain ? FILE_BLOCK_BYTES : PIPE_BLOCK_BYTES
    let memory: Buffer = Buffer.alloc(0)
    let read = 0
    for (;;) {
      const rest = options.rest()
      const needed = rest.length + blockBytes
      const block: Buffer =
        reuse && memory.length >= needed ? memory : Buffer.allocUnsafeSlow(reuse ? needed * 2 : needed)
      memory = block
      rest.copy(block)
      // A block of a plain file is here sooner than a thread that fetches it has woken up.
      const bytesRead = plain
        ? readSync(file.fd, block, rest.length, blockBytes, null)
        : (await file.read(block, rest.length, blockBytes, null)).bytesRead
      if (bytesRead === 0) return
      // Nothing else here waits for anything: signals and what was written get their turn now.
      if (plain) await turn()
      const bytes = block.subarray(0, rest.length + bytesRead)
      if (read === 0 && isGzip(bytes)) return yield* gunzipped(chain(bytes, fileChunks(file)), options)
      read += bytesRead
      options.onProgress(read)
      yield bytes
    }
  } finally {
    await file.close()
  }
}

async function* fileChunks(file: FileHandle): AsyncGenerator<Buffer> {
  for (;;) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafeSlow(PIPE_BLOCK_BYTES), 0, PIPE_BLOCK_BYTES, null)
    if (bytesRead === 0) return
    yield buffer.subarray(0, bytesRead)
  }
}

async function* streamBlocks(stream: Readable, options: BlockReaderOptions): AsyncGenerator<Buffer> {
  if (options.signal !== undefined) addAbortSignal(options.signal, stream)
  let read = 0
  const chunks = stream[Symbol.asyncIterator]() as AsyncIterableIterator<Buffer>
  try {
    let head: Buffer = Buffer.alloc(0)
    for await (const chunk of chunks) {
      // The first two bytes tell whether it is gzip'ed.
      if (read === 0 && head.length + chunk.length < 2) {
        head = Buffer.concat([head, chunk])
        continue
      }
      const bytes = head.length === 0 ? chunk : Buffer.concat([head, chunk])
      head = Buffer.alloc(0)
      if (read === 0 && isGzip(bytes)) return yield* gunzipped(chain(bytes, chunks), options)
      read += bytes.length
      options.onProgress(read)
      yield joined(options.rest(), bytes)
    }
    if (head.length > 0) yield head
  } finally {
    stream.destroy()
  }
}

async function* gunzipped(chunks: AsyncIterable<Buffer>, options: BlockReaderOptions): AsyncGenerator<Buffer> {
  const unzip = createGunzip({ chunkSize: FILE_BLOCK_BYTES })
  let read = 0
  const packed = Readable.from(
    (async function* () {
      for await (const chunk of chunks) {
        read += chunk.length
        options.onProgress(read)
        yield chunk
      }
    })(),
    { objectMode: false },
  )
  packed.on('error', (error) => unzip.destroy(error))
  try {
    for await (const block of packed.pipe(unzip)) yield joined(options.rest(), block as Buffer)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'Z_BUF_ERROR') {
      const where = `compressed data ends at byte ${read}, before its end`
      throw new KlartextError('CAPTURE_TRUNCATED', `${options.name}: ${where}; everything before it was read`)
    }
    if (code?.startsWith('Z_')) {
      const where = `compressed data broken before byte ${read}`
      throw new KlartextError('CAPTURE_BROKEN', `${options.name}: ${where}; everything before it was read`)
    }
    throw error
  } finally {
    unzip.destroy()
    packed.destroy()
  }
}

async function* chain(first: Buffer, more: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  yield first
  yield* more
}

function joined(rest: Buffer, bytes: Buffer): Buffer {
  return rest.length === 0 ? bytes : Buffer.concat([rest, bytes])
}

function isGzip(bytes: Buffer): boolean {
  return bytes.length >= 2 && bytes.readUInt16BE(0) === GZIP_MAGIC
}

/** What the system says of a file becomes one line with its name. */
function asKlartextError(error: unknown, name: string): unknown {
  if (error instanceof KlartextError || (error as NodeJS.ErrnoException).syscall === undefined) return error
  return new KlartextError('UNREADABLE', `${name}: ${(error as Error).message}`, { cause: error })
}
