/** What the directory asks of a Kubernetes API server. */
import { KlartextError } from '../errors.js'

export interface ListPage {
  readonly items: readonly unknown[]
  readonly resourceVersion: string
  /** `''` = this was the last page. */
  readonly next: string
}

export type WatchType = 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'

export interface WatchEvent {
  readonly type: WatchType
  readonly object: unknown
}

export interface WatchHandler {
  /** The server has taken the watch up. */
  opened(): void
  event(event: WatchEvent): void
}

export interface KubernetesApi {
  /** Throws ApiError. */
  list(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<ListPage>
  /** Until the server ends the watch, which is when it resolves. Throws ApiError. */
  watch(
    path: string,
    query: Readonly<Record<string, string>>,
    handler: WatchHandler,
    signal: AbortSignal,
  ): Promise<void>
}

/** What the server refused or did not answer: tried again, since an operator or time may set it right. */
export class ApiError extends KlartextError {
  /** HTTP status, or 0 where there was no answer. */
  readonly status: number

  constructor(status: number, message: string, options: { cause?: unknown } = {}) {
    super('KUBERNETES', message, { ...options, retryable: true })
    this.status = status
  }
}
