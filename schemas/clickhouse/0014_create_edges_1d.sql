-- Days made of hours; kept for five years.
CREATE TABLE IF NOT EXISTS klartext.edges_1d
(
  day Date COMMENT 'start of the day, UTC' CODEC(Delta(2), ZSTD(1)),
  client_cluster LowCardinality(String) COMMENT 'as in flows',
  client_ns LowCardinality(String) COMMENT 'as in flows',
  client_workload LowCardinality(String) COMMENT 'client_name of flows',
  client_kind LowCardinality(String) COMMENT 'as in flows',
  server_cluster LowCardinality(String) COMMENT 'as in flows',
  server_ns LowCardinality(String) COMMENT 'as in flows',
  server_workload LowCardinality(String) COMMENT 'server_name of flows',
  server_kind LowCardinality(String) COMMENT 'as in flows',
  server_port UInt16 COMMENT 'as in flows' CODEC(ZSTD(1)),
  protocol LowCardinality(String) COMMENT 'as in flows',
  scope LowCardinality(String) COMMENT 'as in flows',
  capture_side LowCardinality(String) COMMENT 'as in flows: where both ends were captured a call is here twice, see klartext.edges',
  requests SimpleAggregateFunction(sum, UInt64) COMMENT 'exchanges' CODEC(T64, ZSTD(1)),
  client_errors SimpleAggregateFunction(sum, UInt64) COMMENT 'of them with outcome client_error' CODEC(T64, ZSTD(1)),
  server_errors SimpleAggregateFunction(sum, UInt64) COMMENT 'with outcome server_error' CODEC(T64, ZSTD(1)),
  unanswered SimpleAggregateFunction(sum, UInt64) COMMENT 'with outcome timeout, no_response or reset' CODEC(T64, ZSTD(1)),
  incomplete SimpleAggregateFunction(sum, UInt64) COMMENT 'of which a part was not seen' CODEC(T64, ZSTD(1)),
  req_bytes SimpleAggregateFunction(sum, UInt64) COMMENT 'as in flows' CODEC(T64, ZSTD(1)),
  resp_bytes SimpleAggregateFunction(sum, UInt64) COMMENT 'as in flows' CODEC(T64, ZSTD(1)),
  latency_sum_us SimpleAggregateFunction(sum, UInt64) COMMENT 'µs, of exchanges with both parts' CODEC(T64, ZSTD(1)),
  latency_max_us SimpleAggregateFunction(max, UInt64) COMMENT 'µs' CODEC(T64, ZSTD(1)),
  latency AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), UInt64) COMMENT 'µs; a sketch that merges: true percentiles over any span, within 1 %' CODEC(ZSTD(3)),
  findings SimpleAggregateFunction(sum, UInt64) COMMENT 'anomalies and security observations' CODEC(T64, ZSTD(1)),
  client_pods AggregateFunction(uniqCombined(12), LowCardinality(String)) COMMENT 'different pods, about' CODEC(ZSTD(3)),
  server_pods AggregateFunction(uniqCombined(12), LowCardinality(String)) COMMENT 'different pods, about' CODEC(ZSTD(3))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYear(day)
ORDER BY (server_cluster, server_ns, server_workload, client_cluster, client_ns, client_workload, client_kind, server_kind,
  server_port, protocol, scope, capture_side, day)
TTL day + INTERVAL 1830 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000,
  replicated_deduplication_window = 20000, replicated_deduplication_window_seconds = 604800
COMMENT 'who called whom, per day and end that saw it'
