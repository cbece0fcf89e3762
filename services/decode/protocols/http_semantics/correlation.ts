/** Trace and request ids in header fields: W3C Trace Context, B3, SkyWalking, Jaeger, and the usual request id fields. */

export interface Correlation {
  traceId: string
  spanId: string
  requestId: string
}

const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}/
const HEX = /^[0-9a-f]+$/i
const ID_CHARS_MAX = 128

export function readCorrelation(out: Correlation, name: string, value: string): void {
  switch (name) {
    case 'traceparent': {
      const match = TRACEPARENT.exec(value)
      if (match !== null && !/^0+$/.test(match[1])) set(out, match[1], match[2])
      return
    }
    case 'b3': {
      const [trace, span] = value.split('-')
      if (span !== undefined) set(out, trace, span)
      return
    }
    case 'x-b3-traceid':
      return set(out, value, '')
    case 'x-b3-spanid':
      if (out.spanId === '' && value.length === 16 && HEX.test(value)) out.spanId = value.toLowerCase()
      return
    case 'uber-trace-id': {
      const [trace, span] = decodeURIComponentSafe(value).split(':')
      if (span !== undefined) set(out, trace, span)
      return
    }
    case 'sw8': {
      const [, trace] = value.split('-')
      if (trace !== undefined && out.requestId === '') {
        out.requestId = Buffer.from(trace, 'base64').toString('utf8').slice(0, ID_CHARS_MAX)
      }
      return
    }
    case 'x-request-id':
      out.requestId = value.slice(0, ID_CHARS_MAX)
      return
    case 'x-correlation-id':
    case 'request-id':
    case 'x-amzn-trace-id':
      if (out.requestId === '') out.requestId = value.slice(0, ID_CHARS_MAX)
  }
}

/** The first field that names a trace wins: proxies append their own formats later. Short ids are padded as B3 says. */
function set(out: Correlation, trace: string, span: string): void {
  if (out.traceId !== '' || trace.length > 32 || trace.length < 8 || !HEX.test(trace)) return
  out.traceId = trace.toLowerCase().padStart(32, '0')
  if (span.length > 0 && span.length <= 16 && HEX.test(span)) out.spanId = span.toLowerCase().padStart(16, '0')
}

function decodeURIComponentSafe(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}
