/** What the process that holds the engine and the process that started it say to each other, over Node's channel. */
import type { Role } from '../http/server.js'

export interface EngineStart {
  readonly dataDir: string
  /** Private folder (0700) for the owner's socket and the pipes. */
  readonly runDir: string
}

export interface Listen {
  readonly op: 'listen'
  readonly id: number
  readonly host: string
  readonly port: number
  readonly role: Role
}

export type ToEngine = Listen | { readonly op: 'unlisten'; readonly id: number } | { readonly op: 'close' }

export type FromEngine =
  | { readonly op: 'ready'; readonly version: string }
  | { readonly op: 'listening'; readonly id: number; readonly port: number }
  | { readonly op: 'unlistened'; readonly id: number }
  /** id -1: the engine did not start. */
  | { readonly op: 'failed'; readonly id: number; readonly code: string; readonly message: string }

/** The owner's own endpoint. */
export function socketPath(runDir: string): string {
  return `${runDir}/engine.sock`
}
