/**
 * What must be repaired in kafkajs 2.2.4: its classes are changed where this module is loaded. Timers that wake up without end,
 * and connections that are opened twice, closed by the end of the one before, or never given up.
 */
import { createRequire } from 'node:module'
import type { Socket } from 'node:net'

const require = createRequire(import.meta.url)

interface RequestQueue {
  throttledUntil: number
  throttleCheckTimeoutId: NodeJS.Timeout | null
  readonly pending: readonly unknown[]
  checkPendingRequests(): void
  scheduleCheckPendingRequests(): void
  scheduleRequestTimeoutCheck(): void
  readonly inflight: ReadonlyMap<number, { sentAt: number; requestTimeout: number; timeoutRequest(): void }>
  destroy(): void
}

interface Connection {
  readonly host: string
  readonly port: number
  connectionStatus: string
  authenticatedAt: unknown
  /** While it logs in. */
  readonly authHandlers: { onError(): void } | null
  readonly ssl: unknown
  /** ms */
  readonly connectionTimeout: number
  readonly socketFactory: (options: { host: string; port: number; ssl: unknown; onConnect: () => void }) => Socket
  /** Of an answer of which the rest is still to come. */
  chunks: Buffer[]
  bytesBuffered: number
  bytesNeeded: number
  readonly requestQueue: {
    scheduleRequestTimeoutCheck(): void
    waitForPendingRequests(): Promise<void>
    destroy(): void
  }
  socket?: Socket | undefined
  connecting?: Promise<unknown> | undefined
  isConnected(): boolean
  connect(): Promise<unknown>
  disconnect(): Promise<unknown>
  rejectRequests(error: Error): void
  processData(data: Buffer): void
}

const queueClass = require('kafkajs/src/network/requestQueue') as { prototype: RequestQueue }
const errors = require('kafkajs/src/errors') as {
  KafkaJSConnectionClosedError: new (message: string, where: { host: string; port: number }) => Error
  KafkaJSConnectionError: new (message: string, of: { broker: string; code?: string | undefined }) => Error
}
const connectionClass = require('kafkajs/src/network/connection') as { prototype: Connection }

/** While requests wait because too many are under way, this is how often it is looked at again. */
const PENDING_CHECK_MS = 10

/** As it is published, each connection wakes up every millisecond for ever. Only a throttled connection has to. */
queueClass.prototype.scheduleCheckPendingRequests = function (this: RequestQueue): void {
  if (this.throttleCheckTimeoutId !== null) return
  const throttledMs = this.throttledUntil - Date.now()
  if (this.pending.length === 0) return
  this.throttleCheckTimeoutId = setTimeout(
    () => {
      this.throttleCheckTimeoutId = null
      this.checkPendingRequests()
    },
    Math.max(throttledMs, PENDING_CHECK_MS),
  )
}

/** How late a request may be found to have timed out. */
const TIMEOUT_CHECK_MS = 1_000
/** Of connections that are open. */
const watched = new Set<RequestQueue>()
let watch: NodeJS.Timeout | null = null

/** As it is published, each connection looks ten times a second: here one timer looks at all of them. */
queueClass.prototype.scheduleRequestTimeoutCheck = function (this: RequestQueue): void {
  watched.add(this)
  watch ??= setInterval(endTimedOut, TIMEOUT_CHECK_MS)
}

function endTimedOut(): void {
  const now = Date.now()
  for (const { inflight } of [...watched]) {
    for (const request of [...inflight.values()]) {
      if (now - request.sentAt > request.requestTimeout) request.timeoutRequest()
    }
  }
}

const destroyQueue = queueClass.prototype.destroy
queueClass.prototype.destroy = function (this: RequestQueue): void {
  watched.delete(this)
  if (watched.size === 0 && watch !== null) {
    clearInterval(watch)
    watch = null
  }
  destroyQueue.call(this)
}

/** Bytes of the length before each answer. */
const LENGTH_BYTES = 4

/**
 * As it is published, two requests that meet a closed connection open it twice and lose one socket; what came of an answer
 * before the old socket broke is taken for the beginning of the first answer on the new one; and the end, the error or the
 * time limit of an old socket closes the new one, after which whoever waits for that hears nothing until its own limit. Here
 * what befalls a socket concerns the connection only while it is its socket.
 */
connectionClass.prototype.connect = function (this: Connection): Promise<unknown> {
  if (this.isConnected()) return Promise.resolve(true)
  this.connecting ??= open(this).finally(() => (this.connecting = undefined))
  return this.connecting
}

function open(connection: Connection): Promise<unknown> {
  const { host, port, ssl } = connection
  const broker = `${host}:${port}`
  connection.chunks = []
  connection.bytesBuffered = 0
  connection.bytesNeeded = LENGTH_BYTES
  return new Promise((resolve, reject) => {
    const onConnect = () => {
      clearTimeout(limit)
      if (connection.socket !== socket) return
      connection.connectionStatus = 'connected'
      connection.requestQueue.scheduleRequestTimeoutCheck()
      resolve(true)
    }
    const socket = connection.socketFactory({ host, port, ssl, onConnect })
    connection.socket = socket
    const fail = (error: Error) => {
      clearTimeout(limit)
      socket.destroy()
      if (connection.socket === socket) shut(connection, error)
      reject(error)
    }
    const limit = setTimeout(
      () => fail(new errors.KafkaJSConnectionError('Connection timeout', { broker })),
      connection.connectionTimeout,
    )
    socket.on('data', (data) => {
      if (connection.socket === socket) connection.processData(data)
    })
    socket.on('error', ({ message, code }: NodeJS.ErrnoException) =>
      fail(new errors.KafkaJSConnectionError(`Connection error: ${message}`, { broker, code })),
    )
    for (const end of ['end', 'close']) socket.on(end, () => fail(closed(connection)))
  })
}

function closed({ host, port }: Connection): Error {
  return new errors.KafkaJSConnectionClosedError('Closed connection', { host, port })
}

/** Nothing of its socket reaches the next one: neither bytes, nor requests that wait for an answer. */
function shut(connection: Connection, error: Error): void {
  connection.socket = undefined
  connection.authenticatedAt = null
  connection.connectionStatus = 'disconnected'
  connection.requestQueue.destroy()
  connection.authHandlers?.onError()
  connection.rejectRequests(error)
}

/**
 * As it is published, a connection that is closed again and again holds on to its dead socket and adds a listener each time;
 * one that is still being made is not closed, and counts as open once it stands; and a request that comes while it is being
 * closed waits for its answer until that times out.
 */
connectionClass.prototype.disconnect = async function (this: Connection): Promise<unknown> {
  const { socket } = this
  if (socket === undefined) return true
  this.connectionStatus = 'disconnecting'
  await this.requestQueue.waitForPendingRequests()
  if (this.socket === socket) shut(this, closed(this))
  socket.destroy()
  return true
}
