/** Everything that traffic can make grow, with its bound and the reason for the bound. */

/** First bytes of a direction that probes may look at: a request line with a long target fits. */
export const PROBE_BYTES_MAX = 4096
/** Tries to recognise a connection that was joined mid-way, one per segment: messages start where segments start. */
export const PROBE_SEGMENTS_MAX = 64
/** Bytes of one direction that may wait for the rest of a frame. Decoders bound their frames below it. */
export const PENDING_BYTES_MAX = 256 * 1024
/** Segments held back because an earlier one is still to come (calls that overlapped on two threads). */
export const HELD_SEGMENTS_MAX = 64
export const HELD_BYTES_MAX = 256 * 1024
/** Kept of what was searched in vain for a message start: a start line may be cut by a segment's end. */
export const RESYNC_TAIL_BYTES = 4096
/** Searched in vain for so long, a connection is given up: its rest is not this protocol. */
export const RESYNC_BYTES_MAX = 16 << 20
/** Connections of one pipeline; beyond it the longest silent quarter is closed as `evicted`. About 2 KiB each. */
export const CONNECTIONS_MAX = 200_000
/** A connection silent for so long in capture time is closed as `idle`. */
export const IDLE_US = 3600_000_000
/** Pushed segments between two looks for idle connections. */
export const SWEEP_SEGMENTS = 1 << 17
/** Exchanges that wait for the addresses of their connection; a memory BIO is bound with its first write to the socket. */
export const UNBOUND_EXCHANGES_MAX = 64
