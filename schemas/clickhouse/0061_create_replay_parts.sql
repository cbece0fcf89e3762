-- How far each part of a replay has come, and the state it goes on from after a kill. Of equal id, generation and part the
-- row with the highest version counts. Gone 30 days after its last change.
CREATE TABLE IF NOT EXISTS klartext.replay_parts
(
  id String COMMENT 'as in replays',
  generation UInt32 COMMENT 'as in replays',
  part UInt32 COMMENT 'partition of klartext.segments; 0 for archives',
  version UInt64 COMMENT 'the highest counts; rises with the position',
  updated DateTime64(6, 'UTC') COMMENT 'UTC',
  start UInt64 COMMENT 'first position: offset, or byte of the archives one behind the other',
  next UInt64 COMMENT 'first position that is not decoded',
  stop UInt64 COMMENT 'position at which it ends',
  done UInt8 COMMENT '1 = all of it is stored',
  blocks UInt64 COMMENT 'blocks stored so far',
  messages UInt64 COMMENT 'segment batches read',
  bytes UInt64 COMMENT 'their bytes',
  segments UInt64 COMMENT 'in them',
  flows UInt64 COMMENT 'kept: within window and filter',
  connections UInt64 COMMENT 'kept',
  unreadable UInt64 COMMENT 'segment batches that could not be read',
  joined UInt64 COMMENT 'connections that were open before the first segment that was read',
  lost_before UInt64 COMMENT 'µs since 1970: segments before it were asked for and are not kept any more; 0: none',
  busy_us UInt64 COMMENT 'time spent, all attempts',
  checkpoint String COMMENT 'base64: open connections with the state of their decoders' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (id, generation, part)
TTL toDateTime(updated) + INTERVAL 30 DAY
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 20000,
  replicated_deduplication_window_seconds = 604800
COMMENT 'replays: progress and checkpoints of their parts'
