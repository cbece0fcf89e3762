-- What was asked to be replayed: the truth about replays, of which Redis holds the names only. Of equal id and generation
-- the row with the highest version counts.
CREATE TABLE IF NOT EXISTS klartext.replays
(
  id String COMMENT 'replay_ and 16 hex digits: hash of the request',
  generation UInt32 COMMENT '1, and one more each time a replay that was removed is asked for again',
  version UInt64 COMMENT 'the highest counts',
  submitted DateTime64(6, 'UTC') COMMENT 'UTC',
  updated DateTime64(6, 'UTC') COMMENT 'UTC',
  state LowCardinality(String) COMMENT 'open (waiting or running), done, failed, cancelled, removed',
  request String COMMENT 'JSON: window, lead, trail, filter, source, decoder version',
  parts String COMMENT 'JSON: the partitions or files with their positions; ends are frozen',
  error String COMMENT 'why it failed'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (id, generation)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 20000,
  replicated_deduplication_window_seconds = 604800
COMMENT 'replays: what was asked for and how it ended'
