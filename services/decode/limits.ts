/** Everything that traffic can make grow, with its bound and the reason for the bound. */

/** First bytes of a direction that probes may look at: a request line with a long target fits. */
export const PROBE_BYTES_MAX = 4096
/** Bytes of a direction that wait for the answer where they do not tell what they are: a batch of lines piped to Redis. */
export const UNDECIDED_BYTES_MAX = 64 * 1024
/** Tries per direction to recognise a connection that was joined mid-way, one per segment: messages start where segments start. */
export const PROBE_SEGMENTS_MAX = 64
/** Bytes of one direction that may wait for the rest of a frame. Decoders bound their frames below it. */
export const PENDING_BYTES_MAX = 256 * 1024
/** Memory that one connection may hold in all: bytes that wait, segments held back, decoder state as it is saved. */
export const CONNECTION_BYTES_MAX = 1 << 20
/** Memory that waiting and held-back bytes of all connections take; beyond it the longest silent ones are closed as `evicted`. */
export const OWN_BYTES_MAX = 256 << 20
/** Segments held back because an earlier one is still to come (calls that overlapped on two threads). */
export const HELD_SEGMENTS_MAX = 64
export const HELD_BYTES_MAX = 256 * 1024
/** An earlier segment that is not here so long after a later one (capture time) does not come: it is a gap. */
export const HELD_US_MAX = 2_000_000
/** Kept of what was searched in vain for a message start: a start line may be cut by a segment's end. */
export const RESYNC_TAIL_BYTES = 4096
/** Searched in vain for so long before its first exchange, a connection is given up: it is not this protocol. */
export const RESYNC_BYTES_MAX = 4 << 20
/** Connections of one pipeline; beyond it the longest silent quarter is closed as `evicted`. About 1.5 KiB each when idle. */
export const CONNECTIONS_MAX = 100_000
/** Closed connections whose number of exchanges is remembered, so that a late segment does not count from 0 again. */
export const CLOSED_MAX = 65_536
/** A connection silent for so long in capture time is closed as `idle`. */
export const IDLE_US = 3600_000_000
/** Between two looks for idle connections: pushed segments, and capture time. */
export const SWEEP_SEGMENTS = 1 << 17
export const SWEEP_US = 60_000_000
/**
 * Exchanges that wait for the addresses of their connection, and how long: a memory BIO is bound with its first write to
 * the socket. Then they go without.
 */
export const UNBOUND_EXCHANGES_MAX = 64
export const UNBOUND_US_MAX = 5_000_000
