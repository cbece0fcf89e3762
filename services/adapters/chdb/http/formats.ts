/** Content types as a ClickHouse server gives them; whatever is not here goes out as plain text. */
const TYPES: readonly (readonly [RegExp, string])[] = [
  [/^JSON(Compact)?(Strings)?EachRow/, 'application/x-ndjson; charset=UTF-8'],
  [/^(JSON|PrettyJSON)/, 'application/json; charset=UTF-8'],
  [/^CSVWithNames/, 'text/csv; charset=UTF-8; header=present'],
  [/^CSV/, 'text/csv; charset=UTF-8; header=absent'],
  [/^(TSV|TabSeparated)/, 'text/tab-separated-values; charset=UTF-8'],
  [/^XML$/, 'application/xml; charset=UTF-8'],
  [/^(Native|RowBinary|Parquet|Arrow|ORC|Avro|MsgPack|BSONEachRow|Npy)/, 'application/octet-stream'],
]

export function contentType(format: string): string {
  return TYPES.find(([pattern]) => pattern.test(format))?.[1] ?? 'text/plain; charset=UTF-8'
}
