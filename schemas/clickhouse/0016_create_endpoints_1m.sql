-- Per minute, endpoint and answer. Windows and sort key for the reasons given with edges_1m.
CREATE TABLE IF NOT EXISTS klartext.endpoints_1m
(
  minute DateTime('UTC') COMMENT 'start of the minute, UTC' CODEC(Delta(4), ZSTD(1)),
  server_cluster LowCardinality(String) COMMENT 'as in flows',
  server_ns LowCardinality(String) COMMENT 'as in flows',
  server_workload LowCardinality(String) COMMENT 'as in edges_1m',
  protocol LowCardinality(String) COMMENT 'as in flows',
  method LowCardinality(String) COMMENT 'as in flows',
  endpoint LowCardinality(String) COMMENT 'as in flows',
  status_code UInt16 COMMENT 'as in flows' CODEC(ZSTD(1)),
  outcome LowCardinality(String) COMMENT 'as in flows',
  capture_side LowCardinality(String) COMMENT 'as in edges_1m',
  requests SimpleAggregateFunction(sum, UInt64) COMMENT 'exchanges' CODEC(T64, ZSTD(1)),
  req_bytes SimpleAggregateFunction(sum, UInt64) COMMENT 'as in flows' CODEC(T64, ZSTD(1)),
  resp_bytes SimpleAggregateFunction(sum, UInt64) COMMENT 'as in flows' CODEC(T64, ZSTD(1)),
  latency AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), UInt64) COMMENT 'µs; as in edges_1m' CODEC(ZSTD(3))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (server_cluster, server_ns, server_workload, protocol, endpoint, method, status_code, outcome, capture_side, minute)
TTL minute + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000,
  replicated_deduplication_window = 20000, replicated_deduplication_window_seconds = 604800
COMMENT 'what was asked of whom and how it ended, per minute and end that saw it'
