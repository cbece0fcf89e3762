/** HTTP status by error code, as a ClickHouse server maps them (src/Server/HTTP/exceptionCodeToHTTPStatus.cpp); all others: 500. */
const BY_STATUS: Readonly<Record<number, readonly number[]>> = {
  400: [6, 8, 10, 15, 25, 26, 27, 36, 38, 41, 44, 53, 62, 72, 117, 168, 222, 223, 224, 321, 376, 427, 441, 675, 676],
  401: [194],
  403: [192, 193, 497, 512, 516],
  404: [24, 46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 178, 511],
  408: [159],
  411: [381],
  413: [307],
  415: [639],
  501: [48],
  503: [76, 209, 439],
}

const STATUS = new Map<number, number>()
for (const [status, codes] of Object.entries(BY_STATUS)) for (const code of codes) STATUS.set(code, Number(status))

export function httpStatus(code: number): number {
  return STATUS.get(code) ?? 500
}
