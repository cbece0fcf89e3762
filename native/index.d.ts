/** The addon as TypeScript sees it (native/build/klartext.node). */

export interface CaptureOptions {
  /** capture.bpf.o */
  readonly objectPath: string
  readonly cluster?: string
  readonly node?: string
  readonly version?: string
  /** Power of two; 16 MiB unless told. */
  readonly ringBytes?: number
  /** Copied of one call; the rest passes as position only. 1 MiB unless told, which is also the most. */
  readonly callBytesMax?: number
  readonly tls?: boolean
  readonly plain?: boolean
  /** Capture these processes only. */
  readonly pids?: readonly number[]
  readonly batchBytes?: number
  readonly batchMs?: number
  /** Batches that may wait for JavaScript; more are dropped and counted as `queue_full`. */
  readonly queueBatches?: number
  /** A library that no process maps any more keeps its probes for so long; 30 s unless told. */
  readonly retireMs?: number
  /** `conventional` probes entry and return of the public functions at their first instruction, for comparison. */
  readonly placement?: 'emulated' | 'conventional'
}

export interface Count {
  readonly count: number
  readonly bytes: number
}

export interface CaptureStats {
  readonly segments: number
  readonly payloadBytes: number
  readonly batches: number
  readonly connections: number
  /** How often single processes were looked at for libraries, after an exec or an executable mapping. */
  readonly processLooks: number
  readonly lost: Readonly<Record<string, Count>>
  readonly seen: Readonly<Record<'tls' | 'socket', Count>>
}

export interface LibraryProcess {
  readonly pid: number
  readonly comm: string
  readonly containerId: string
}

export interface Library {
  readonly path: string
  readonly kind: string
  readonly version: string
  readonly buildId: string
  readonly hooked: boolean
  readonly reason: string
  readonly detail: string
  readonly processes: readonly LibraryProcess[]
}

export interface Capture {
  /** Throws an Error with one line where the kernel refuses. */
  start(): void
  stats(): CaptureStats
  libraries(): Library[]
  /** Hands over all that was captured before it resolves. The probes do nothing from then on and are taken away behind it. */
  stop(): Promise<void>
}

export interface ProbePoint {
  readonly role: string
  readonly symbol: string
  readonly functionOffset: number
  readonly entryOffset: number
  readonly returnOffset: number | null
  readonly entryCost: 'emulated' | 'single_step'
  readonly returnCost: 'emulated' | 'single_step' | null
  readonly instruction: string
  readonly arguments: readonly string[]
}

export interface ProbePlan {
  readonly kind: string
  readonly version: string
  readonly buildId: string
  readonly points: readonly ProbePoint[]
  readonly reason: string
  readonly note: string
}

export interface Addon {
  openCapture(options: CaptureOptions, onBatch: (batch: Buffer, payloadBytes: number) => void): Capture
  planProbes(path: string, mode?: 'emulated' | 'conventional'): ProbePlan
}
