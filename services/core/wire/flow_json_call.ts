/** What flows that ask for the same have in common, and what they are usually answered, kept as bytes. */
import type { Flow } from '../flow.js'
import { Attributes } from './flow_json_attrs.js'
import { Headers } from './flow_json_headers.js'
import { KEYS } from './flow_json_keys.js'
import type { JsonBytes, Piece } from './json_bytes.js'
import { kept } from './kept_part.js'

/** From `status_code` to the name of `req_bytes`. */
class Answer {
  #bytes: Piece | null = null
  #status = -1
  #outcome = ''
  #error = ''
  #userAgent = ''
  #contentType = ''

  write(flow: Flow, out: JsonBytes): void {
    const { status_code, outcome, error, user_agent, content_type } = flow
    const same =
      status_code === this.#status &&
      outcome === this.#outcome &&
      error === this.#error &&
      user_agent === this.#userAgent &&
      content_type === this.#contentType
    if (same && this.#bytes !== null) return out.raw(this.#bytes)
    const from = out.size
    out.raw(KEYS.status_code)
    out.number(status_code)
    out.raw(KEYS.outcome)
    out.text(outcome)
    out.raw(KEYS.error)
    out.text(error)
    out.raw(KEYS.user_agent)
    out.text(user_agent)
    out.raw(KEYS.content_type)
    out.text(content_type)
    out.raw(KEYS.req_bytes)
    this.#bytes = same ? kept.piece(out, from) : null
    this.#status = status_code
    this.#outcome = outcome
    this.#error = error
    this.#userAgent = user_agent
    this.#contentType = content_type
  }
}

/** From `trace_id` to `principal`: the same where no trace is named, and one user asks. */
class Correlation {
  #bytes: Piece | null = null
  #traceId = ''
  #spanId = ''
  #requestId = ''
  #principal = ''

  write(flow: Flow, out: JsonBytes): void {
    const { trace_id, span_id, request_id, principal } = flow
    const same =
      principal === this.#principal &&
      trace_id === this.#traceId &&
      span_id === this.#spanId &&
      request_id === this.#requestId
    if (same && this.#bytes !== null) return out.raw(this.#bytes)
    const from = out.size
    out.raw(KEYS.trace_id)
    out.text(trace_id)
    out.raw(KEYS.span_id)
    out.text(span_id)
    out.raw(KEYS.request_id)
    out.text(request_id)
    out.raw(KEYS.principal)
    out.text(principal)
    this.#bytes = same ? kept.piece(out, from) : null
    this.#traceId = trace_id
    this.#spanId = span_id
    this.#requestId = request_id
    this.#principal = principal
  }
}

/** Flows that ask for the same: from `transport` to the name of `resource`, and what usually comes with it. */
export class Call {
  #bytes: Piece | null = null
  #version = ''
  #method = ''
  #host = ''
  #endpoint = ''
  #again = false
  readonly answer = new Answer()
  readonly correlation = new Correlation()
  readonly attributes = new Attributes()
  readonly requestHeaders = new Headers()
  readonly responseHeaders = new Headers()

  /** From here on it stands for what `flow` asks for. */
  become(flow: Flow): void {
    this.#version = flow.l7_version
    this.#method = flow.method
    this.#host = flow.host
    this.#endpoint = flow.endpoint
    this.#again = false
    this.#bytes = null
  }

  fits(flow: Flow): boolean {
    return (
      flow.endpoint === this.#endpoint &&
      flow.method === this.#method &&
      flow.host === this.#host &&
      flow.l7_version === this.#version
    )
  }

  /** `workloads` is that of its shape. */
  write(workloads: Piece, out: JsonBytes): void {
    if (this.#bytes !== null) return out.raw(this.#bytes)
    const from = out.size
    out.raw(workloads)
    out.raw(KEYS.l7_version)
    out.text(this.#version)
    out.raw(KEYS.method)
    out.text(this.#method)
    out.raw(KEYS.host)
    out.text(this.#host)
    out.raw(KEYS.endpoint)
    out.text(this.#endpoint)
    out.raw(KEYS.resource)
    if (this.#again) this.#bytes = kept.piece(out, from)
    this.#again = true
  }
}

/** Not all of it: endpoints that share these share a place. */
export function callHash({ endpoint, method }: Flow): number {
  const { length } = endpoint
  if (length === 0) return method.length
  const ends = Math.imul(endpoint.charCodeAt(length - 1), 31) + endpoint.charCodeAt(length >> 1)
  return Math.imul(ends, 31) + Math.imul(endpoint.charCodeAt((length * 3) >> 2), 17) + length + method.length * 5
}
