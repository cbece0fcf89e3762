/** Settings in the URL: taken, left to HTTP, or refused as a read-only server refuses them. */
import type { Engine } from '../engine/engine.js'
import { engineError } from '../engine/statement.js'

/** Parameters of the HTTP interface itself, never settings of the engine. */
const INTERFACE = new Set(
  `query query_id database default_format user password quota_key session_id session_timeout session_check stacktrace role
  compress decompress client_protocol_version enable_http_compression wait_end_of_query buffer_size http_zlib_compression_level
  send_progress_in_http_headers http_headers_progress_interval_ms add_http_cors_header http_write_exception_in_output_format
  cancel_http_readonly_queries_on_client_close http_wait_end_of_query http_response_buffer_size readonly close_session
  http_native_compression_disable_checksumming_on_decompress http_response_headers http_make_head_request log_comment`.split(
    /\s+/,
  ),
)

/** What a reader may set: how values look, and how joins and limits behave; nothing that names a file or lifts a bound. */
const READER =
  /^(output_format_(?!schema)\w+|input_format_\w+|format_(csv|tsv|custom|display|json|binary)_\w+|date_time_(in|out)put_format|session_timezone|bool_(true|false)_representation|join_\w+|(union|except|intersect)_default_mode|max_(result_rows|result_bytes|block_size|rows_to_group_by|rows_to_read|bytes_to_read|threads|execution_time|memory_usage|query_size)|(result|read|group_by|timeout)_overflow_mode|extremes|limit|offset|use_query_cache|prefer_\w+|aggregate_functions_\w+|cast_keep_nullable|group_by_use_nulls|transform_null_in|count_distinct_implementation|enable_\w*(analyzer|json_type|variant_type|dynamic_type|time_time64_type)|allow_experimental_\w+_type|optimize_\w+|totals_mode|rows_before_aggregation)$/

export interface Bounds {
  /** Name and largest value; 0 means "no bound" to the engine and becomes this value too. */
  readonly max: ReadonlyMap<string, number>
}

export class SettingsPolicy {
  readonly #engine: Engine
  #known: ReadonlyMap<string, string> | null = null

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /** Settings for one statement. Throws UNKNOWN_SETTING (115), or READONLY (164) for what a reader may not change. */
  async choose(url: URLSearchParams, bounds: Bounds | null): Promise<Map<string, string>> {
    const chosen = new Map<string, string>()
    for (const [name, value] of url) {
      if (INTERFACE.has(name) || name.startsWith('param_')) continue
      const usual = (await this.#usual()).get(name)
      if (usual === undefined) throw engineError(115, `Unknown setting '${name.slice(0, 100)}'`, 'UNKNOWN_SETTING')
      if (bounds !== null && !READER.test(name)) {
        if (value === usual) continue
        throw engineError(164, `Cannot modify '${name}' setting in readonly mode`, 'READONLY')
      }
      chosen.set(name, value)
    }
    for (const [name, most] of bounds?.max ?? []) {
      const wanted = Number(chosen.get(name) ?? 0)
      chosen.set(name, String(wanted > 0 && wanted < most ? wanted : most))
    }
    return chosen
  }

  /** All settings of the engine with their usual values. */
  async #usual(): Promise<ReadonlyMap<string, string>> {
    if (this.#known === null) {
      const rows = await this.#engine.text(`SELECT name, default FROM system.settings FORMAT TabSeparatedRaw`)
      this.#known = new Map(
        rows
          .split('\n')
          .filter(Boolean)
          .map((row) => row.split('\t') as [string, string]),
      )
    }
    return this.#known
  }
}
