/** µs. An answer that is seen so little before its request only seems so: two interfaces, queues or clocks saw them. */
export const CROSSING_US_MAX = 100_000
