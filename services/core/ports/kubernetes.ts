/** What the directory asks of a Kubernetes API server. */

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

export interface KubernetesApi {
  /** Throws ApiError. */
  list(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<ListPage>
  /** Calls `onEvent` until the server ends the watch, which is when it resolves. Throws ApiError. */
  watch(
    path: string,
    query: Readonly<Record<string, string>>,
    onEvent: (event: WatchEvent) => void,
    signal: AbortSignal,
  ): Promise<void>
}

export class ApiError extends Error {
  /** HTTP status, or 0 where there was no answer. */
  readonly status: number

  constructor(status: number, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ApiError'
    this.status = status
  }
}
