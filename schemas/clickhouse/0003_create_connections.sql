-- One row per connection, written when it ends: what passed, what was missing, why it gave no flows.
CREATE TABLE IF NOT EXISTS klartext.connections
(
  ts DateTime64(6, 'UTC') COMMENT 'first byte seen' CODEC(Delta(8), ZSTD(1)),
  end_ts DateTime64(6, 'UTC') COMMENT 'last byte seen' CODEC(Delta(8), ZSTD(1)),
  cluster LowCardinality(String),
  node LowCardinality(String),
  capture_side LowCardinality(String) COMMENT 'unknown, client, server',
  capture_source LowCardinality(String) COMMENT 'openssl, socket, pcap',
  conn_id UInt64 CODEC(ZSTD(1)),
  transport LowCardinality(String),
  client_ip String CODEC(ZSTD(1)),
  client_port UInt16 CODEC(ZSTD(1)),
  server_ip String CODEC(ZSTD(1)),
  server_port UInt16 CODEC(ZSTD(1)),
  pid UInt32 CODEC(ZSTD(1)),
  comm LowCardinality(String),
  container LowCardinality(String),
  protocol LowCardinality(String) COMMENT 'empty where none was recognised',
  undecoded_reason LowCardinality(String) COMMENT 'why there are no flows; empty where there are',
  tls_version LowCardinality(String),
  bytes_to_server UInt64 COMMENT 'bytes that passed' CODEC(T64, ZSTD(1)),
  bytes_to_client UInt64 COMMENT 'bytes that passed' CODEC(T64, ZSTD(1)),
  gap_bytes_to_server UInt64 COMMENT 'of them known to be missing' CODEC(T64, ZSTD(1)),
  gap_bytes_to_client UInt64 COMMENT 'of them known to be missing' CODEC(T64, ZSTD(1)),
  exchanges UInt32 CODEC(T64, ZSTD(1)),
  state LowCardinality(String) COMMENT 'closed, reset, idle, evicted, input_end',
  midstream UInt8 COMMENT '1 = already alive when first seen'
)
ENGINE = MergeTree
PARTITION BY toDate(ts)
ORDER BY (toStartOfHour(ts), server_ip, server_port, client_ip, conn_id)
TTL toDateTime(ts) + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000
