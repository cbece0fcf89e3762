-- What was seen and what was not: libraries and processes hooked or not and why; bytes seen, left out and lost by reason.
-- Columns are those of COVERAGE_COLUMNS in services/core/rows.ts. Sorted by what is asked ("why is this not covered"), then
-- by time: the rows of one subject lie together and repeat.
CREATE TABLE IF NOT EXISTS klartext.coverage
(
  ts DateTime64(6, 'UTC') COMMENT 'end of the interval the row speaks of; UTC, µs' CODEC(Delta(8), ZSTD(1)),
  cluster LowCardinality(String) COMMENT 'name of the cluster, from the capturer''s configuration',
  node LowCardinality(String) COMMENT 'host that captured',
  kind LowCardinality(String) COMMENT 'library, process, loss, bytes: what the row is about',
  subject LowCardinality(String) COMMENT 'library: its path; process: its name; loss and bytes: the stage (ring, queue, decode ...)',
  pid UInt32 COMMENT 'of a process; else 0' CODEC(ZSTD(1)),
  container LowCardinality(String) COMMENT 'container id; empty outside containers',
  state LowCardinality(String) COMMENT 'library: hooked, not_hooked; process: covered, not_covered, partly',
  reason LowCardinality(String) COMMENT 'why, closed set; empty where nothing is to explain',
  detail String COMMENT 'how it is hooked, build id ...' CODEC(ZSTD(3)),
  bytes UInt64 COMMENT 'since the row before of the same subject and reason' CODEC(T64, ZSTD(1)),
  count UInt64 COMMENT 'times, since the row before of the same subject and reason' CODEC(T64, ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toDate(ts)
ORDER BY (kind, subject, reason, ts)
TTL toDateTime(ts) + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000,
  replicated_deduplication_window = 20000, replicated_deduplication_window_seconds = 604800
COMMENT 'what was seen, what was not, and why'
