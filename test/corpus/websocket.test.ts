/** WebSocket of real captures against the frames that tshark shows and what Zeek says of each connection. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Flow } from '../../services/core/flow.js'
import { corpusFiles, corpusGroups, NO_CORPUS } from './corpus.js'
import { decodeCapture } from './decode_capture.js'
import { beside, clientOf, type Frame, tsharkFrames, zeekRows } from './expected.js'

const skip = NO_CORPUS

const flowsOf = async (fullPath: string): Promise<Flow[]> =>
  (await decodeCapture(fullPath)).flows.filter(({ protocol }) => protocol === 'websocket')

const [TEXT, CLOSE, PING, PONG] = [1, 8, 9, 10]
/** Close codes that stand for none: RFC 6455 section 7.1.5. */
const [NO_STATUS, NOT_SEEN] = ['1005', '0']

/** What one connection says, in a form that both sides can be put into. */
class Talk {
  /** `> text 5`, by direction in order. */
  readonly messages: string[] = []
  pings = 0
  pongs = 0
  /** Of the first Close frame. */
  closeCode = NOT_SEEN
}

/** The streams that tshark shows frames of, by the client's address. */
function expectedTalks(fullPath: string): Map<string, Talk> {
  const talks = new Map<string, Talk>()
  const unfinished = new Map<string, { text: boolean; bytes: number }>()
  const clients = new Map<string, string>()
  for (const frame of tsharkFrames(fullPath)) {
    const { src, tcp } = frame as unknown as Record<string, string>
    if (frame['http.request.method'] !== undefined) clients.set(tcp, src)
    if (frame['websocket.opcode'] === undefined) continue
    const client = clients.get(tcp) ?? ''
    const talk = talks.get(client) ?? new Talk()
    talks.set(client, talk)
    const arrow = src === client ? '>' : '<'
    for (const { opcode, fin, bytes, closeCode } of framesOf(frame)) {
      if (opcode === PING) talk.pings += 1
      else if (opcode === PONG) talk.pongs += 1
      else if (opcode === CLOSE) {
        if (talk.closeCode === NOT_SEEN) talk.closeCode = closeCode
      } else {
        const begun = unfinished.get(tcp + arrow) ?? { text: opcode === TEXT, bytes: 0 }
        begun.bytes += bytes
        if (fin) talk.messages.push(`${arrow} ${begun.text ? 'text' : 'binary'} ${begun.bytes}`)
        if (fin) unfinished.delete(tcp + arrow)
        else unfinished.set(tcp + arrow, begun)
      }
    }
  }
  return talks
}

/** Longer payloads have their length in a field of its own, in the same order. */
function framesOf(frame: Frame): { opcode: number; fin: boolean; bytes: number; closeCode: string }[] {
  const longer = { 126: [...(frame['websocket.payload_length_ext_16'] ?? [])], 127: [...longest(frame)] }
  return (frame['websocket.opcode'] ?? []).map((opcode, i) => {
    const short = Number(frame['websocket.payload_length']?.[i])
    const bytes = short === 126 || short === 127 ? Number(longer[short].shift()) : short
    const closeCode = frame['websocket.payload.close.status_code']?.[0] ?? NO_STATUS
    return { opcode: Number(opcode), fin: frame['websocket.fin']?.[i] === '1', bytes, closeCode }
  })
}

const longest = (frame: Frame): string[] => frame['websocket.payload_length_ext_64'] ?? []

function talkOf(flows: readonly Flow[]): Talk {
  const talk = new Talk()
  for (const flow of flows) {
    if (flow.method === 'close') {
      talk.pings = Number(flow.attrs['websocket.pings'] ?? 0)
      talk.pongs = Number(flow.attrs['websocket.pongs'] ?? 0)
      // Where the other end only hung up, there was no Close frame.
      talk.closeCode = flow.attrs['websocket.close.by'] === undefined ? NOT_SEEN : String(flow.status_code)
      continue
    }
    const arrow = flow.attrs['websocket.direction'] === 'to_server' ? '>' : '<'
    talk.messages.push(`${arrow} ${flow.method} ${flow.req_bytes + flow.resp_bytes}`)
  }
  return talk
}

/** Both directions in order, each for itself: messages that cross may be told in either order. */
const inOrder = (talk: Talk) => ({
  ...talk,
  messages: ['>', '<'].flatMap((arrow) => talk.messages.filter((each) => each.startsWith(arrow))),
})

test('tshark: every message, ping, pong and close code, and no other', { skip }, async (t) => {
  let [connections, messages] = [0, 0]
  for (const { fullPath, path } of corpusFiles('websocket')) {
    const expected = expectedTalks(fullPath)
    // Joined mid-way, at a port that tshark does not know: the messages are compared with a capture of the whole.
    if (path === 'ndpi/websocket/websocket.pcap') continue
    const flows = await flowsOf(fullPath)
    const clients = [...new Set(flows.map(clientOf))]
    assert.deepEqual(clients.sort(), [...expected.keys()].sort(), path)
    for (const [client, talk] of expected) {
      const ours = talkOf(flows.filter((flow) => clientOf(flow) === client))
      assert.deepEqual(inOrder(ours), inOrder(talk), `${path} ${client}`)
      connections += 1
      messages += talk.messages.length
    }
  }
  t.diagnostic(`${connections} connections, ${messages} messages`)
  assert.ok(connections >= 8)
  assert.ok(messages >= 130)
})

test('a connection joined mid-way has the same messages, without host and path', { skip }, async () => {
  const captures = corpusFiles('websocket')
  const whole = captures.find(({ path }) => path === 'arkime/websocket/websocket.pcap')
  const joined = captures.find(({ path }) => path === 'ndpi/websocket/websocket.pcap')
  assert.ok(whole && joined)
  const flows = await flowsOf(joined.fullPath)
  assert.deepEqual(inOrder(talkOf(flows)), inOrder(talkOf(await flowsOf(whole.fullPath))))
  for (const { host, resource, complete, server_port } of flows) {
    assert.deepEqual([host, resource, complete, server_port], ['', '', 0, 12345])
  }
})

test('Zeek: host, path, client and subprotocol of every connection of its websocket.log', { skip }, async (t) => {
  let rows = 0
  for (const file of corpusFiles(...corpusGroups())) {
    const logs = beside(file.fullPath, /\.websocket\.log$/)
    if (logs.length === 0) continue
    const flows = await flowsOf(file.fullPath)
    for (const row of logs.flatMap(zeekRows)) {
      const mine = flows.filter(({ client_port }) => String(client_port) === row['id.orig_p'])
      assert.ok(mine.length > 0, `${file.path}: ${row['id.orig_p']}`)
      const known = (value: string) => (value === '-' ? '' : value)
      for (const { host, resource, user_agent, attrs } of mine) {
        assert.equal(host, row.host)
        assert.equal(resource, row.uri)
        assert.equal(user_agent, known(row.user_agent))
        assert.equal(attrs['websocket.subprotocol'] ?? '', known(row.subprotocol))
      }
      rows += 1
    }
  }
  t.diagnostic(`${rows} rows`)
  assert.ok(rows >= 10)
})
