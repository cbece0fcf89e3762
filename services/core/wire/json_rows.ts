/** What a store answers in JSONEachRow or JSONStringsEachRow: one object per line. */
export function jsonRows<T>(body: Buffer): T[] {
  return body
    .toString('utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as T)
}
