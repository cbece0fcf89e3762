/** TLS handshakes of real captures against what tshark, FoxIO's JA4 programs, Zeek, Suricata and Arkime say of them. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Flow } from '../../services/core/flow.js'
import { cipherSuiteName } from '../../services/decode/protocols/tls/cipher_suites.js'
import { alertName } from '../../services/decode/protocols/tls/names.js'
import { type CorpusFile, corpusFiles, corpusGroups, NO_CORPUS } from './corpus.js'
import { decodeCapture } from './decode_capture.js'
import { beside, clientOf, type Frame, serverOf, suricataMatches, tsharkFrames, zeekRows } from './expected.js'

const skip = NO_CORPUS

const handshakes = async (file: CorpusFile): Promise<Flow[]> =>
  (await decodeCapture(file.fullPath)).flows.filter(({ protocol }) => protocol === 'tls')

/** Counts what agrees, and tells what does not. */
class Tally {
  readonly #t: TestContext
  #values = 0
  #equal = 0

  constructor(t: TestContext) {
    this.#t = t
  }

  get values(): number {
    return this.#values
  }

  check(where: string, name: string, theirs: string | undefined, ours: string | undefined): void {
    if (theirs === undefined) return
    this.#values += 1
    if (theirs === (ours ?? '')) this.#equal += 1
    else this.#t.diagnostic(`${where}: ${name} is ${theirs}, ours ${ours}`)
  }

  done(atLeast: number): void {
    this.#t.diagnostic(`${this.#equal} of ${this.#values} values`)
    assert.ok(this.#values >= atLeast)
    assert.equal(this.#equal, this.#values)
  }
}

/** One handshake as tshark shows it, put together from its frames. */
interface Expected {
  client: string
  server: string
  hello: Frame | null
  answer: Frame | null
  readonly serials: Map<string, string>
  readonly fatal: { readonly by: string; readonly code: number }[]
}

/** Streams without a hello were joined later, and are no handshake. Of DTLS tshark's list has fewer fields. */
function expectedHandshakes(file: CorpusFile): Expected[] {
  const streams = new Map<string, Expected>()
  for (const frame of tsharkFrames(file.fullPath)) {
    const { src, dst, tcp, udp } = frame as unknown as Record<string, string | undefined>
    const types = frame['tls.handshake.type'] ?? frame['dtls.handshake.type'] ?? []
    if ((tcp === undefined && frame['dtls.handshake.type'] === undefined) || src === undefined || dst === undefined)
      continue
    const key = tcp ?? `udp ${udp}`
    const stream: Expected = streams.get(key) ?? {
      client: '',
      server: '',
      hello: null,
      answer: null,
      serials: new Map(),
      fatal: [],
    }
    streams.set(key, stream)
    if (types.includes('1')) {
      stream.hello ??= frame
      Object.assign(stream, { client: src, server: dst })
    }
    // Of two, after a HelloRetryRequest, the second is the ServerHello.
    if (types.includes('2')) {
      stream.answer = frame
      Object.assign(stream, { client: dst, server: src })
    }
    const serial = types.includes('11') ? frame['x509af.serialNumber']?.[0] : undefined
    if (serial !== undefined && !stream.serials.has(src)) stream.serials.set(src, serial)
    const level = frame['tls.alert_message.level']?.[0]
    if (level === '2') stream.fatal.push({ by: src, code: Number(frame['tls.alert_message.desc']?.[0]) })
  }
  return [...streams.values()].filter(({ client }) => client !== '')
}

/** tshark 4.0 knows neither of them as TLS: port 80, and RDP's negotiation before. */
const MORE_THAN_TSHARK = /tls_port_80\.pcapng|rdp_over_tls\.pcap/
/** Its name is no text: we show such names in hex. */
const NAMES_DIFFER = /tls-non-ascii-alpn/

const plainHex = (serial: string | undefined): string | undefined => serial?.toLowerCase().replace(/^0+(?=.)/, '')

test('tshark: every handshake with names, fingerprints, certificates and alerts, and no other', { skip }, async (t) => {
  const tally = new Tally(t)
  const counts = { expected: 0, found: 0, extra: 0 }
  for (const file of corpusFiles('tls')) {
    const left = await handshakes(file)
    for (const { client, server, hello, answer, serials, fatal } of expectedHandshakes(file)) {
      counts.expected += 1
      const at = left.findIndex((flow) => clientOf(flow) === client && serverOf(flow) === server)
      const where = `${file.path} ${client}`
      if (at < 0) {
        t.diagnostic(`missing ${where}`)
        continue
      }
      counts.found += 1
      const [flow] = left.splice(at, 1)
      const { attrs } = flow
      if (hello !== null) {
        tally.check(where, 'JA3', hello['tls.handshake.ja3']?.[0], attrs['tls.client.ja3'])
        tally.check(where, 'SNI', hello['tls.handshake.extensions_server_name']?.[0] ?? '', flow.sni)
        const names = NAMES_DIFFER.test(file.path) ? undefined : hello['tls.handshake.extensions_alpn_str']
        tally.check(where, 'ALPN', names?.join(','), attrs['tls.client.alpn'])
      }
      if (answer !== null) {
        tally.check(where, 'JA3S', answer['tls.handshake.ja3s']?.[0], attrs['tls.server.ja3s'])
        const cipher = answer['tls.handshake.ciphersuite']?.at(-1)
        tally.check(where, 'cipher', cipher && cipherSuiteName(Number(cipher)), attrs['tls.cipher'])
      }
      for (const [end, side] of [
        [server, 'server'],
        [client, 'client'],
      ] as const) {
        tally.check(where, `${side}'s serial`, plainHex(serials.get(end)), plainHex(attrs[`tls.${side}.serial`]))
        const alert = fatal.find(({ by }) => by === end)
        tally.check(where, `${side}'s alert`, alert && alertName(alert.code), attrs[`tls.${side}.alert`])
        if (alert !== undefined) tally.check(where, 'status', String(alert.code), String(flow.status_code))
      }
    }
    if (MORE_THAN_TSHARK.test(file.path)) continue
    counts.extra += left.length
    if (left.length > 0) t.diagnostic(`extra ${file.path}: ${left.map(clientOf)}`)
  }
  t.diagnostic(`TLS, tshark: ${JSON.stringify(counts)}`)
  assert.ok(counts.expected >= 102)
  assert.equal(counts.found, counts.expected)
  assert.equal(counts.extra, 0)
  tally.done(400)
})

interface Fingerprint {
  readonly client: string
  readonly ja4: string
  readonly sni: string | undefined
}

/** The Rust program's snapshot: a list in YAML, of which single lines are enough. */
function rustFingerprints(text: string): Fingerprint[] {
  return text.split(/^- stream:/m).flatMap((block) => {
    const field = (name: string) => new RegExp(`^  ${name}: (.*)$`, 'm').exec(block)?.[1]
    const ja4 = field('ja4')
    if (ja4 === undefined || ja4.startsWith('q')) return []
    return [{ client: `${field('src')}:${field('src_port')}`, ja4, sni: field('tls_server_name') }]
  })
}

function pythonFingerprints(text: string): Fingerprint[] {
  return (JSON.parse(text) as Record<string, string>[]).flatMap((row) => {
    const ja4 = row['JA4.1'] ?? row.JA4
    // That of QUIC begins with q.
    return ja4 !== undefined && /^[td]/.test(ja4) ? [{ client: `${row.src}:${row.srcport}`, ja4, sni: row.domain }] : []
  })
}

test("JA4: what FoxIO's programs make of every capture", { skip }, async (t) => {
  const tally = new Tally(t)
  for (const file of corpusFiles(...corpusGroups())) {
    const theirs = [
      ...beside(file.fullPath, /\.ja4-rust\.snap$/).map((path) => rustFingerprints(readFileSync(path, 'utf8'))),
      ...beside(file.fullPath, /\.ja4-python\.json$/).map((path) => pythonFingerprints(readFileSync(path, 'utf8'))),
    ].flat()
    if (theirs.length === 0) continue
    const ours = new Map((await handshakes(file)).map((flow) => [clientOf(flow), flow]))
    for (const { client, ja4, sni } of theirs) {
      const flow = ours.get(client)
      tally.check(`${file.path} ${client}`, 'JA4', ja4, flow?.attrs['tls.client.ja4'])
      tally.check(`${file.path} ${client}`, 'SNI', sni, flow?.sni)
    }
  }
  tally.done(8)
})

const ZEEK_NOT_COMPARED = /\.quic\./
/** GridFTP: the handshake of the control connection is in Base64, inside of FTP; that of the data connection is compared. */
const ZEEK_ROW_NOT_COMPARED = (row: Record<string, string>): boolean => row['id.resp_p'] === '2811'

/** Undefined where the list has no such column, `''` where it is empty. */
const known = (value: string | undefined): string | undefined =>
  value === '-' || value === '(empty)' ? '' : value?.replace(/^\(empty\)$/, '')
/** `TLSv12` and `TLSv13-draft23`. */
const zeekVersion = (version: string | undefined): string | undefined => known(version)?.replace(/v1(\d)/, 'v1.$1')
const zeekBoolean = (value: string | undefined): string | undefined => value && (value === 'T' ? 'true' : 'false')
/** The end's own certificate; names stand here in some lists. */
const leaf = (list: string | undefined): string | undefined => {
  const first = known(list?.split(',')[0])
  return first === '' || first?.length === 64 ? first : undefined
}

/** Of datagrams Zeek takes who spoke first for the client; we go by the hellos. In the one capture that has both it is the server. */
const zeekOriginator = (flow: Flow): number => (flow.transport === 'udp' ? flow.server_port : flow.client_port)

test('Zeek: every row of its ssl.log', { skip }, async (t) => {
  const tally = new Tally(t)
  let rows = 0
  for (const file of corpusFiles(...corpusGroups())) {
    const logs = beside(file.fullPath, /\.ssl\.(log|cut)$/).filter((log) => !ZEEK_NOT_COMPARED.test(log))
    if (logs.length === 0) continue
    const flows = await handshakes(file)
    for (const log of logs) {
      for (const row of zeekRows(log)) {
        if (ZEEK_ROW_NOT_COMPARED(row)) continue
        rows += 1
        const where = `${basename(log)} ${row['id.orig_p']}`
        const flow = flows.find((each) => row['id.orig_p'] === String(zeekOriginator(each)))
        const attrs = flow?.attrs ?? {}
        tally.check(where, 'version', zeekVersion(known(row.version)), flow?.tls_version)
        tally.check(where, 'cipher', known(row.cipher), attrs['tls.cipher'])
        tally.check(where, 'curve', known(row.curve), attrs['tls.curve'])
        tally.check(where, 'SNI', known(row.server_name), flow?.sni)
        tally.check(where, 'ALPN', known(row.next_protocol), attrs['tls.next_protocol'])
        tally.check(where, 'alert', known(row.last_alert), attrs['tls.server.alert'] ?? attrs['tls.client.alert'])
        tally.check(where, 'established', zeekBoolean(row.established), attrs['tls.established'])
        // Where no server has answered nobody knows.
        const answered = attrs['tls.resumed'] !== undefined
        tally.check(where, 'resumed', answered ? zeekBoolean(row.resumed) : undefined, attrs['tls.resumed'])
        const hash = (end: string) => (attrs[`tls.${end}.hash.sha256`] ?? '').toLowerCase()
        tally.check(where, 'certificate', leaf(row.cert_chain_fps), hash('server'))
        tally.check(where, "client's certificate", leaf(row.client_cert_chain_fps), hash('client'))
      }
    }
  }
  t.diagnostic(`${rows} rows`)
  assert.ok(rows >= 21)
  tally.done(150)
})

/** Seconds since 1970, as Zeek writes them, to our form. */
const isoTime = (seconds: string): string => new Date(Math.round(Number(seconds) * 1000)).toISOString()

test('Zeek: certificates of its x509.log', { skip }, async (t) => {
  const tally = new Tally(t)
  for (const file of corpusFiles('tls')) {
    const logs = beside(file.fullPath, /\.x509\.log$/)
    if (logs.length === 0) continue
    const ours = new Map<string, Record<string, string>>()
    for (const { attrs } of await handshakes(file)) {
      for (const end of ['server', 'client']) {
        const hash = attrs[`tls.${end}.hash.sha256`]
        const fields = Object.entries(attrs).filter(([name]) => name.startsWith(`tls.${end}.`))
        if (hash !== undefined) {
          const named = fields.map(([name, value]) => [name.slice(`tls.${end}.`.length), value])
          ours.set(hash.toLowerCase(), Object.fromEntries(named))
        }
      }
    }
    for (const row of logs.flatMap(zeekRows)) {
      // Of a chain only the first is kept.
      const mine = ours.get(row.fingerprint)
      if (mine === undefined) continue
      const where = `${file.path} ${row.fingerprint.slice(0, 8)}`
      tally.check(where, 'serial', row['certificate.serial'], mine.serial)
      tally.check(where, 'subject', row['certificate.subject'], mine.subject)
      tally.check(where, 'issuer', row['certificate.issuer'], mine.issuer)
      tally.check(where, 'from', isoTime(row['certificate.not_valid_before']), mine.not_before)
      tally.check(where, 'until', isoTime(row['certificate.not_valid_after']), mine.not_after)
    }
  }
  tally.done(60)
})

/** `C=FR, O=Stamus, Inc., Email=a@b` is ours the other way round, with the comma inside of a part escaped. */
function turned(name: string): string {
  const parts = name
    .split(/, (?=[A-Za-z.0-9]+=)/)
    .map((part) => part.replaceAll(',', '\\,').replace(/^Email=/, 'emailAddress='))
  return parts.reverse().join(',')
}
/** `TLS 1.2`, `TLSv1`, `TLS 1.3 draft-23`. */
function suricataVersion(version: string): string {
  const name = version
    .replace(/^TLS ?v?1$/, 'TLS 1.0')
    .replace(/^TLS v?/, 'TLSv')
    .replace(/ draft-(\d+)/, '-draft$1')
  return name.replace(/^(SSL)v?(\d)$/, '$1v$2')
}

const SURICATA: Readonly<Record<string, (flow: Flow) => string | undefined>> = {
  'tls.version': ({ tls_version }) => tls_version,
  'tls.sni': ({ sni }) => sni,
  'tls.subject': ({ attrs }) => attrs['tls.server.subject'],
  'tls.issuerdn': ({ attrs }) => attrs['tls.server.issuer'],
  'tls.serial': ({ attrs }) => plainHex(attrs['tls.server.serial']),
  'tls.notbefore': ({ attrs }) => attrs['tls.server.not_before']?.slice(0, 19),
  'tls.notafter': ({ attrs }) => attrs['tls.server.not_after']?.slice(0, 19),
  'tls.ja3.hash': ({ attrs }) => attrs['tls.client.ja3'],
  'tls.ja4': ({ attrs }) => attrs['tls.client.ja4'],
  'tls.client_alpns[0]': ({ attrs }) => attrs['tls.client.alpn']?.split(',')[0],
  'tls.client_alpns[1]': ({ attrs }) => attrs['tls.client.alpn']?.split(',')[1],
  'tls.server_alpns[0]': ({ attrs }) => attrs['tls.next_protocol'],
}

function suricataValue(name: string, value: string): string {
  if (name === 'tls.subject' || name === 'tls.issuerdn') return turned(value)
  if (name === 'tls.serial') return plainHex(value.replaceAll(':', '')) ?? ''
  return name === 'tls.version' ? suricataVersion(value) : value
}

test('Suricata: every handshake that a check of its tests describes', { skip }, async (t) => {
  const counts = { expected: 0, found: 0 }
  for (const file of corpusFiles(...corpusGroups())) {
    const checks = suricataMatches(file.fullPath).filter(({ fields }) => fields.event_type === 'tls')
    if (checks.length === 0) continue
    const flows = await handshakes(file)
    for (const { count, fields } of checks) {
      if (count === 0) continue
      const compared = Object.entries(fields).filter(([name]) => name in SURICATA)
      counts.expected += 1
      const ports = fields.src_port === undefined ? undefined : [Number(fields.src_port), Number(fields.dest_port)]
      const mine = flows.filter(
        (flow) =>
          (ports === undefined || ports.every((port) => port === flow.client_port || port === flow.server_port)) &&
          compared.every(([name, value]) => SURICATA[name](flow) === suricataValue(name, value)),
      )
      if (mine.length >= 1) counts.found += 1
      else {
        const ours = flows.map((flow) => compared.map(([name]) => SURICATA[name](flow)).join(' | '))
        t.diagnostic(`${file.path}: ${JSON.stringify(Object.fromEntries(compared))}, ours ${ours}`)
      }
    }
  }
  t.diagnostic(`TLS, Suricata: ${JSON.stringify(counts)}`)
  assert.ok(counts.expected >= 20)
  assert.equal(counts.found, counts.expected)
})

interface ArkimeSession {
  readonly body: {
    readonly source: { readonly ip: string; readonly port: number }
    readonly tls?: Readonly<Record<string, string[]>>
    readonly cert?: readonly Readonly<Record<string, unknown>>[]
  }
}

test('Arkime: fingerprints, ciphers and certificates of its sessions', { skip }, async (t) => {
  const tally = new Tally(t)
  for (const file of corpusFiles(...corpusGroups())) {
    for (const path of beside(file.fullPath, /\.arkime\.test$/)) {
      const { sessions3 } = JSON.parse(readFileSync(path, 'utf8')) as { sessions3: ArkimeSession[] }
      const sessions = sessions3.filter(({ body }) => body.tls !== undefined)
      if (sessions.length === 0) continue
      const flows = await handshakes(file)
      for (const { body } of sessions) {
        const client = `${body.source.ip}:${body.source.port}`
        const where = `${file.path} ${client}`
        const flow = flows.find((each) => clientOf(each) === client)
        const attrs = flow?.attrs ?? {}
        tally.check(where, 'JA3', body.tls?.ja3?.[0], attrs['tls.client.ja3'])
        tally.check(where, 'JA3S', body.tls?.ja3s?.at(-1), attrs['tls.server.ja3s'])
        tally.check(where, 'JA4', body.tls?.ja4?.[0], attrs['tls.client.ja4'])
        tally.check(where, 'cipher', body.tls?.cipher?.at(-1), attrs['tls.cipher'])
        // It keeps the chain in no order.
        const serial = plainHex(attrs['tls.server.serial'])
        const certificate = body.cert?.find((each) => plainHex(String(each.serial)) === serial)
        if (body.cert === undefined) continue
        tally.check(where, 'serial', plainHex(String(certificate?.serial)), serial)
        const until = new Date(Number(certificate?.notAfter ?? 0)).toISOString()
        tally.check(where, 'until', until, attrs['tls.server.not_after'])
      }
    }
  }
  tally.done(40)
})
