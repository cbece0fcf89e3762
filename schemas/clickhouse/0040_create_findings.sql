-- What rules found. A rule that runs again for the same time finds the same and says it with the same uid: ReplacingMergeTree
-- keeps one, whatever was tried again. No TTL: findings are few, and investigations are long.
CREATE TABLE IF NOT EXISTS klartext.findings
(
  ts DateTime64(6, 'UTC') COMMENT 'end of the time that was looked at; UTC, µs' CODEC(Delta(8), ZSTD(1)),
  uid String COMMENT 'hash of rule, subject and ts: one finding' CODEC(ZSTD(1)),
  rule LowCardinality(String) COMMENT 'name of the rule',
  title LowCardinality(String) COMMENT 'what the rule looks for',
  severity LowCardinality(String) COMMENT 'low, medium, high, critical',
  attack LowCardinality(String) COMMENT 'MITRE ATT&CK technique; empty where none fits',
  subject String COMMENT 'what it is about: the same subject is not told again while the rule keeps quiet about it' CODEC(ZSTD(3)),
  summary String COMMENT 'in a sentence, with its numbers' CODEC(ZSTD(3)),
  score Float64 COMMENT 'as the rule defines it; larger is worse',
  evidence Array(UInt64) COMMENT 'flow_id of flows that show it' CODEC(ZSTD(1)),
  attrs Map(LowCardinality(String), String) COMMENT 'further values of the rule' CODEC(ZSTD(3))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (rule, ts, uid)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 20000,
  replicated_deduplication_window_seconds = 604800
COMMENT 'what detection rules found, with the flows that show it'
