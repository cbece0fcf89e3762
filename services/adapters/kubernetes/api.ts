/**
 * The Kubernetes API by way of @kubernetes/client-node's configuration: kubeconfig files, service accounts whose tokens are
 * renewed, client certificates, exec plug-ins. Lists and watches are read by ourselves: the client's own list makes an object
 * of its models of every item, of which a directory keeps a tenth.
 */
import http from 'node:http'
import https from 'node:https'
import { KubeConfig } from '@kubernetes/client-node'
import { KlartextError } from '../../core/errors.js'
import { ApiError, type KubernetesApi, type ListPage, type WatchHandler } from '../../core/ports/kubernetes.js'

/** A page of 500 pods has a few MB. */
const ANSWER_BYTES_MAX = 256 << 20
/** etcd refuses objects above 1.5 MiB. */
const EVENT_BYTES_MAX = 8 << 20
/** A watch that says nothing for so long is dead: bookmarks come about every minute. */
const SILENCE_MS = 180_000
/** A peer that is gone without a word is found out within seconds. */
const KEEP_ALIVE_MS = 3_000
const LIST_MS = 120_000
const TEXT_CHARS_MAX = 300

export interface KubernetesOptions {
  /** Path of a kubeconfig file; otherwise what kubectl would use, or the service account of the pod. */
  readonly kubeconfig?: string
}

export class KubernetesClient implements KubernetesApi {
  readonly #options: KubernetesOptions
  #config: KubeConfig
  readonly #server: URL

  /** Throws KlartextError `BAD_KUBECONFIG`. */
  constructor(options: KubernetesOptions = {}) {
    this.#options = options
    try {
      this.#config = this.#load()
      const cluster = this.#config.getCurrentCluster()
      if (cluster === null) throw new Error('it names no current cluster')
      this.#server = new URL(cluster.server)
    } catch (error) {
      const where = options.kubeconfig ?? 'kubeconfig'
      throw new KlartextError('BAD_KUBECONFIG', `${where}: ${(error as Error).message.split('\n')[0]}`)
    }
  }

  #load(): KubeConfig {
    const config = new KubeConfig()
    if (this.#options.kubeconfig === undefined) config.loadFromDefault()
    else config.loadFromFile(this.#options.kubeconfig)
    return config
  }

  async list(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<ListPage> {
    const response = await this.#get(path, query, LIST_MS, signal)
    const parts: Buffer[] = []
    let size = 0
    try {
      for await (const part of response) {
        size += (part as Buffer).length
        if (size > ANSWER_BYTES_MAX) throw new ApiError(0, `${path}: a list of more than ${ANSWER_BYTES_MAX} bytes`)
        parts.push(part as Buffer)
      }
    } catch (error) {
      throw error instanceof ApiError
        ? error
        : new ApiError(0, `${path}: ${(error as Error).message}`, { cause: error })
    }
    const { items, metadata } = parse(path, Buffer.concat(parts).toString('utf8')) as {
      items?: unknown
      metadata?: { resourceVersion?: unknown; continue?: unknown }
    }
    if (!Array.isArray(items)) throw new ApiError(0, `${path}: the answer is no list`)
    return { items, resourceVersion: String(metadata?.resourceVersion ?? ''), next: String(metadata?.continue ?? '') }
  }

  async watch(
    path: string,
    query: Readonly<Record<string, string>>,
    handler: WatchHandler,
    signal: AbortSignal,
  ): Promise<void> {
    const response = await this.#get(path, query, SILENCE_MS, signal)
    let rest: Buffer = Buffer.alloc(0)
    handler.opened()
    try {
      for await (const part of response) {
        rest = rest.length === 0 ? (part as Buffer) : Buffer.concat([rest, part as Buffer])
        let from = 0
        for (let lf = rest.indexOf(10); lf >= 0; lf = rest.indexOf(10, from)) {
          if (lf > from) deliver(path, rest.toString('utf8', from, lf), handler)
          from = lf + 1
        }
        rest = rest.subarray(from)
        if (rest.length > EVENT_BYTES_MAX)
          throw new ApiError(0, `${path}: an event of more than ${EVENT_BYTES_MAX} bytes`)
      }
    } catch (error) {
      response.destroy()
      throw error instanceof ApiError
        ? error
        : new ApiError(0, `${path}: ${(error as Error).message}`, { cause: error })
    }
  }

  /** The response, if it is a good one; credentials are asked for anew each time, since tokens expire. */
  async #get(
    path: string,
    query: Readonly<Record<string, string>>,
    silenceMs: number,
    signal: AbortSignal,
  ): Promise<http.IncomingMessage> {
    const url = new URL(path, this.#server)
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
    const options: https.RequestOptions = { method: 'GET', headers: { accept: 'application/json' }, signal }
    await this.#config.applyToHTTPSOptions(options)
    if (url.protocol === 'http:') delete options.agent
    const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
      const request = (url.protocol === 'http:' ? http : https).request(url, options, resolve)
      request.setTimeout(silenceMs, () => request.destroy(new Error(`no answer within ${silenceMs / 1000} s`)))
      request.once('socket', (socket) => socket.setKeepAlive(true, KEEP_ALIVE_MS))
      request.once('error', (error) => reject(new ApiError(0, `${url.host}: ${error.message}`, { cause: error })))
      request.end()
    })
    if (response.statusCode === 200) return response
    // The client keeps a token for a minute; one that is refused is read again.
    if (response.statusCode === 401) this.#config = this.#load()
    const text = await textOf(response)
    throw new ApiError(response.statusCode ?? 0, `${path}: ${response.statusCode} ${messageOf(text)}`)
  }
}

function deliver(path: string, line: string, handler: WatchHandler): void {
  const { type, object } = parse(path, line) as { type?: unknown; object?: { code?: unknown; message?: unknown } }
  if (type === 'ERROR')
    throw new ApiError(Number(object?.code) || 0, `${path}: ${messageOf(JSON.stringify(object) ?? 'error')}`)
  if (type === 'ADDED' || type === 'MODIFIED' || type === 'DELETED' || type === 'BOOKMARK')
    handler.event({ type, object })
}

function parse(path: string, text: string): object {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value
  } catch {
    // Said below.
  }
  throw new ApiError(0, `${path}: not JSON: ${JSON.stringify(text.slice(0, 40))}`)
}

async function textOf(response: http.IncomingMessage): Promise<string> {
  let text = ''
  for await (const part of response) {
    text += String(part)
    if (text.length > 64 * 1024) break
  }
  return text
}

/** A Status object says it best. In one line, whatever the server sends. */
function messageOf(text: string): string {
  let message = text
  try {
    message = String((JSON.parse(text) as { message?: unknown }).message)
  } catch {
    // As it is.
  }
  return message.slice(0, TEXT_CHARS_MAX).replace(/\p{Cc}+/gu, ' ')
}
