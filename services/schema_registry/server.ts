/** Serves the released schemas over HTTP, so that any Avro consumer with a registry client reads klartext's topics. */
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { KlartextError } from '../core/errors.js'
import { answer } from './answers.js'
import { type ReleasedSchema, releasedSchemas } from './subjects.js'

const CONTENT_TYPE = 'application/vnd.schemaregistry.v1+json'
const HEADERS_MS_MAX = 10_000
const CONNECTIONS_MAX = 256

export interface SchemaRegistry {
  readonly port: number
  close(): Promise<void>
}

export interface SchemaRegistryOptions {
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  /** A connection could not be accepted; the server goes on. */
  readonly onError?: (error: Error) => void
}

/**
 * What is no HTTP is answered 400 and hung up on. Resolves when it listens. Throws KlartextError `PORT_IN_USE` where it
 * cannot.
 */
export async function serveSchemas(
  { host, port, onError }: SchemaRegistryOptions,
  schemas: readonly ReleasedSchema[] = releasedSchemas(),
): Promise<SchemaRegistry> {
  const server: Server = createServer({ headersTimeout: HEADERS_MS_MAX }, (request, response) => {
    const { status, body } = answer(schemas, request.method ?? '', request.url ?? '/')
    const bytes = Buffer.from(JSON.stringify(body))
    request.resume()
    response.writeHead(status, { 'Content-Type': CONTENT_TYPE, 'Content-Length': bytes.length })
    response.end(request.method === 'HEAD' ? undefined : bytes)
  })
  server.maxConnections = CONNECTIONS_MAX
  server.listen(port, host)
  try {
    await once(server, 'listening')
  } catch (error) {
    throw new KlartextError('PORT_IN_USE', `${host}:${port}: ${(error as Error).message}`)
  }
  server.on('error', (error) => onError?.(error))
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      server.close()
      server.closeAllConnections()
    },
  }
}
