/** What header fields of a stream said for the attributes of its exchange, until it is handed over. */
import type { StateReader, StateWriter } from '../../../core/state.js'
import type { TextReader, TextWriter } from './texts.js'

const NAMES = [
  'forwardedFor',
  'connectProtocol',
  'pushed',
  'interimCodes',
  'grpcTimeout',
  'requestEncoding',
  'responseEncoding',
  'grpcMessage',
] as const

export class Said {
  forwardedFor = ''
  connectProtocol = ''
  pushed = ''
  interimCodes = ''
  grpcTimeout = ''
  requestEncoding = ''
  responseEncoding = ''
  grpcMessage = ''

  save(out: StateWriter, texts: TextWriter): void {
    for (const name of NAMES) texts.write(out, this[name])
  }

  restore(state: StateReader, texts: TextReader): void {
    for (const name of NAMES) this[name] = texts.read(state)
  }
}
