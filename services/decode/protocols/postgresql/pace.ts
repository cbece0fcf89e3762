/** How the client of a connection speaks, and when the server answered. */
export class Pace {
  /** It was seen to wait for an answer before its next unit, or not to. */
  waits = false
  sendsAhead = false
  /** A unit after the login was answered. */
  served = false
  lastReadyUs = 0
  /** The last message of the server before a loss. */
  answeredUs = 0
}
