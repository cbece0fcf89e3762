/** A value of the server as pairing sees it. */

export const NO_VALUES: string[] = []
export const NO_ERRORS: (number | string)[] = []

export class Reply {
  /** Type byte. */
  type = 0
  startUs = 0
  endUs = 0
  /** Bytes of all strings and numbers in it, without framing. */
  sizeBytes = 0
  gaps = 0
  /** First word of an error, else `''`. */
  error = ''
  /** A simple string, else `''`. */
  line = ''
  /** Elements of an array; -1 for null. */
  elements = -1
  values: string[] = NO_VALUES
  /** Of an array: index and first word of elements that are errors, in turn. */
  errors: (number | string)[] = NO_ERRORS

  clear(): void {
    this.type = 0
    this.startUs = 0
    this.endUs = 0
    this.sizeBytes = 0
    this.gaps = 0
    this.error = ''
    this.line = ''
    this.elements = -1
    this.values = NO_VALUES
    this.errors = NO_ERRORS
  }
}

/** A copy, from JSON too; the shared empty lists stay shared. */
export function copyOfReply(saved: Reply): Reply {
  const reply = Object.assign(new Reply(), saved)
  if (reply.values.length === 0) reply.values = NO_VALUES
  if (reply.errors.length === 0) reply.errors = NO_ERRORS
  return reply
}
