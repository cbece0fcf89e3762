/** ClientHello and ServerHello (RFC 8446 section 4.1, RFC 5246 section 7.4.1), as far as they tell who speaks what. */

import { isGrease } from './fingerprints.js'
import { isDatagramVersion } from './names.js'
import { VectorReader } from './reader.js'

/** Lists longer than this are cut, and nothing is worked out from them: no client offers so much. */
const LIST_MAX = 512
const NAME_BYTES_MAX = 255
const ALPN_TEXT_MAX = 256

export const EXTENSION = {
  serverName: 0,
  supportedGroups: 10,
  pointFormats: 11,
  signatureAlgorithms: 13,
  alpn: 16,
  preSharedKey: 41,
  earlyData: 42,
  supportedVersions: 43,
  keyShare: 51,
  encryptedClientHello: 0xfe0d,
  encryptedServerName: 0xffce,
  nextProtocol: 13172,
} as const

/** SHA-256 of "HelloRetryRequest": a ServerHello with this random asks for another ClientHello (RFC 8446 section 4.1.3). */
const RETRY_RANDOM = Buffer.from('cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c', 'hex')

export class ClientHello {
  version = 0
  sessionId = ''
  ciphers: number[] = []
  extensions: number[] = []
  groups: number[] = []
  pointFormats: number[] = []
  signatureAlgorithms: number[] = []
  supportedVersions: number[] = []
  alpn: string[] = []
  serverName = ''
  /** `ech`, `esni` or `''`: the true name is hidden, or the client pretends that it is (GREASE ECH looks the same). */
  hidden: '' | 'ech' | 'esni' = ''
  earlyData = false
  /** All of it was there and lengths add up: fingerprints hold. */
  whole = true
}

export class ServerHello {
  version = 0
  sessionId = ''
  cipher = 0
  extensions: number[] = []
  alpn = ''
  group = 0
  /** The session goes on from an earlier one (TLS 1.3). */
  preSharedKey = false
  earlyData = false
  retry = false
  whole = true
}

/** `bytes` from `from` to `to` is the body of the message, without its header; `whole` is false where its end is missing. */
export function readClientHello(bytes: Buffer, from: number, to: number, whole: boolean): ClientHello {
  const hello = new ClientHello()
  const input = new VectorReader(bytes, from, to)
  hello.version = input.uint(2)
  input.skip(32)
  hello.sessionId = hex(input.vector(1))
  // The cookie of a HelloVerifyRequest comes back here.
  if (isDatagramVersion(hello.version)) input.vector(1)
  const ciphers = input.vector(2)
  hello.ciphers = ciphers.numbers(2, LIST_MAX)
  if (ciphers.left > 0) hello.whole = false
  input.vector(1)
  if (input.left > 0) {
    const extensions = input.vector(2)
    while (extensions.left > 0 && hello.extensions.length < LIST_MAX) clientExtension(hello, extensions)
    if (extensions.cut || extensions.left > 0) hello.whole = false
  }
  if (input.cut || !whole) hello.whole = false
  return hello
}

function clientExtension(hello: ClientHello, extensions: VectorReader): void {
  const type = extensions.uint(2)
  const data = extensions.vector(2)
  if (extensions.cut) return
  hello.extensions.push(type)
  switch (type) {
    case EXTENSION.serverName: {
      const names = data.vector(2)
      while (names.left > 0 && hello.serverName === '') {
        const kind = names.uint(1)
        const name = names.vector(2)
        if (kind === 0 && !name.cut) hello.serverName = hostName(name)
      }
      return
    }
    case EXTENSION.supportedGroups:
      hello.groups = data.vector(2).numbers(2, LIST_MAX)
      return
    case EXTENSION.pointFormats:
      hello.pointFormats = data.vector(1).numbers(1, LIST_MAX)
      return
    case EXTENSION.signatureAlgorithms:
      hello.signatureAlgorithms = data.vector(2).numbers(2, LIST_MAX)
      return
    case EXTENSION.supportedVersions:
      hello.supportedVersions = data.vector(1).numbers(2, LIST_MAX)
      return
    case EXTENSION.alpn:
      hello.alpn = protocolNames(data.vector(2))
      return
    case EXTENSION.earlyData:
      hello.earlyData = true
      return
    case EXTENSION.encryptedClientHello:
      hello.hidden = 'ech'
      return
    case EXTENSION.encryptedServerName:
      hello.hidden = 'esni'
  }
}

export function readServerHello(bytes: Buffer, from: number, to: number, whole: boolean): ServerHello {
  const hello = new ServerHello()
  const input = new VectorReader(bytes, from, to)
  hello.version = input.uint(2)
  hello.retry = input.left >= 32 && bytes.compare(RETRY_RANDOM, 0, 32, input.pos, input.pos + 32) === 0
  input.skip(32)
  // Drafts of TLS 1.3 up to 21 have no session id here.
  if (!isEarlyDraft(hello.version)) hello.sessionId = hex(input.vector(1))
  hello.cipher = input.uint(2)
  if (!isEarlyDraft(hello.version)) input.skip(1)
  if (input.left > 0) {
    const extensions = input.vector(2)
    while (extensions.left > 0 && hello.extensions.length < LIST_MAX) serverExtension(hello, extensions)
    if (extensions.cut || extensions.left > 0) hello.whole = false
  }
  if (input.cut || !whole) hello.whole = false
  return hello
}

function isEarlyDraft(version: number): boolean {
  return version >> 8 === 0x7f && (version & 0xff) < 22
}

function serverExtension(hello: ServerHello, extensions: VectorReader): void {
  const type = extensions.uint(2)
  const data = extensions.vector(2)
  if (extensions.cut) return
  hello.extensions.push(type)
  switch (type) {
    case EXTENSION.supportedVersions:
      if (data.left >= 2) hello.version = data.uint(2)
      return
    case EXTENSION.keyShare:
      hello.group = data.uint(2)
      return
    case EXTENSION.alpn:
      hello.alpn = protocolNames(data.vector(2))[0] ?? ''
      return
    case EXTENSION.preSharedKey:
      hello.preSharedKey = true
      return
    case EXTENSION.earlyData:
      hello.earlyData = true
  }
}

function protocolNames(list: VectorReader): string[] {
  const names: string[] = []
  let chars = 0
  while (list.left > 0 && chars < ALPN_TEXT_MAX) {
    const name = list.vector(1)
    if (name.cut) break
    names.push(name.text())
    chars += name.left
  }
  return names
}

/** As it was sent: a name of a host has no control characters, and one that has some is shown without them. */
function hostName(name: VectorReader): string {
  const text = name.bytes.toString('utf8', name.pos, Math.min(name.end, name.pos + NAME_BYTES_MAX))
  return text.replace(/\p{Cc}/gu, '?')
}

function hex(part: VectorReader): string {
  return part.bytes.toString('hex', part.pos, part.end)
}

/** The highest version that the client speaks. */
export function highestVersion(hello: ClientHello): number {
  let highest = 0
  for (const version of hello.supportedVersions) {
    if (!isGrease(version) && (highest === 0 || isNewer(version, highest))) highest = version
  }
  return highest === 0 ? hello.version : highest
}

function isNewer(version: number, than: number): boolean {
  return isDatagramVersion(version) ? version < than : version > than
}
