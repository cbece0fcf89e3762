-- Up to where each rule has looked: after a pause it goes on from there, so that no time is left out and none looked at twice.
CREATE TABLE IF NOT EXISTS klartext.detect_runs
(
  rule LowCardinality(String) COMMENT 'name of the rule',
  ts DateTime64(6, 'UTC') COMMENT 'end of the time that was looked at; UTC',
  findings UInt32 COMMENT 'new ones'
)
ENGINE = ReplacingMergeTree
ORDER BY (rule, ts)
TTL toDateTime(ts) + INTERVAL 30 DAY
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 20000,
  replicated_deduplication_window_seconds = 604800
COMMENT 'up to where each detection rule has looked'
