-- What was seen and what was not: libraries and processes hooked or not and why, bytes seen, left out and lost by reason.
CREATE TABLE IF NOT EXISTS klartext.coverage
(
  ts DateTime64(6, 'UTC') COMMENT 'end of the interval' CODEC(Delta(8), ZSTD(1)),
  cluster LowCardinality(String),
  node LowCardinality(String),
  kind LowCardinality(String) COMMENT 'library, process, loss, bytes',
  subject LowCardinality(String) COMMENT 'library: path; process: name; loss and bytes: the stage',
  pid UInt32 CODEC(ZSTD(1)),
  container LowCardinality(String),
  state LowCardinality(String) COMMENT 'hooked, not_hooked; covered, not_covered',
  reason LowCardinality(String),
  detail String CODEC(ZSTD(3)),
  bytes UInt64 COMMENT 'since the row before of the same subject and reason' CODEC(T64, ZSTD(1)),
  count UInt64 CODEC(T64, ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toDate(ts)
ORDER BY (kind, subject, reason, ts)
TTL toDateTime(ts) + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000
