/**
 * The test blocks of llhttp (Node's parser): an `http` block with the bytes and a `log` block with what the parser says of
 * them, under a heading. Read as its own test driver reads them: the last line end is not part of the bytes, line ends are
 * CR LF, a backslash before a line end joins lines, and `\r`, `\n`, `\t`, `\f`, `\xNN` stand for bytes.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CORPUS, NO_CORPUS } from './corpus.js'

export interface Message {
  /** Offset of its first byte. */
  readonly from: number
  method: string
  target: string
  status: number
  bodyBytes: number
  complete: boolean
}

export interface Block {
  /** `request/method.md: REPORT request`. */
  readonly name: string
  readonly kind: 'request' | 'response'
  readonly bytes: Buffer
  /** As llhttp sees them; what stands behind an error is not known. */
  readonly messages: readonly Message[]
  /** Why it stopped; '' = it did not, or because another protocol follows. */
  readonly error: string
}

const FOLDER = 'llhttp/llhttp/test'

/** The strict ones: what lenient modes accept is a matter of taste. */
export function strictBlocks(): Block[] {
  if (NO_CORPUS) return []
  const folder = join(CORPUS, FOLDER)
  const blocks: Block[] = []
  for (const file of readdirSync(folder, { recursive: true }).map(String).sort()) {
    if (!file.endsWith('.md')) continue
    const text = readFileSync(join(folder, file), 'utf8')
    const pattern =
      /^#+ (.+)$|<!-- *meta=(\{.*?\}) *-->\n```http\n((?:(?!```)[\s\S])*)```\n+```log\n((?:(?!```)[\s\S])*)```/gm
    let heading = ''
    for (const [, title, meta, http, log] of text.matchAll(pattern)) {
      if (title !== undefined) heading = title
      else {
        const { type } = JSON.parse(meta) as { type: string }
        if (type !== 'request' && type !== 'response') continue
        const bytes = inputBytes(http)
        blocks.push({ name: `${file}: ${heading}`, kind: type, bytes, ...logged(log, bytes) })
      }
    }
  }
  return blocks
}

function inputBytes(http: string): Buffer {
  const text = http
    .replace(/\n$/, '')
    .replace(/\\\n/g, '')
    .replace(/\n/g, '\r\n')
    .replace(/\\r/g, '\r')
    .replace(/\\n/g, '\n')
    .replace(/\\t/g, '\t')
    .replace(/\\f/g, '\f')
    .replace(/\\x([0-9a-fA-F]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)))
  return Buffer.from(text, 'utf8')
}

function logged(log: string, bytes: Buffer): { messages: Message[]; error: string } {
  const messages: Message[] = []
  let error = ''
  for (const line of log.split('\n')) {
    const message = messages[messages.length - 1]
    const [, off, len, span] = /^off=(\d+) len=(\d+) span\[(\w+)\]/.exec(line) ?? []
    if (span !== undefined && message !== undefined) {
      const text = bytes.toString('latin1', Number(off), Number(off) + Number(len))
      if (span === 'method') message.method += text
      if (span === 'url') message.target += text
      if (span === 'body') message.bodyBytes += Number(len)
    }
    const begin = /^off=(\d+) message begin/.exec(line)
    if (begin !== null) {
      messages.push({ from: Number(begin[1]), method: '', target: '', status: 0, bodyBytes: 0, complete: false })
    }
    const head = /headers complete (?:method=\d+|status=(\d+))/.exec(line)
    if (head?.[1] !== undefined && message !== undefined) message.status = Number(head[1])
    if (line.includes('message complete') && message !== undefined) message.complete = true
    const stopped = /error code=(\d+) reason="(.*)"/.exec(line)
    if (stopped !== null && stopped[1] !== '22') error = stopped[2]
  }
  return { messages, error }
}
