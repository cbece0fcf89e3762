-- One row per connection, written when it ends: what passed, what was missing, why it gave no flows. Columns are those of
-- CONNECTION_COLUMNS in services/core/rows.ts. Order, partitions, TTL and windows for the reasons given with flows.
CREATE TABLE IF NOT EXISTS klartext.connections
(
  ts DateTime64(6, 'UTC') COMMENT 'first byte seen; UTC, µs. Source: capture clock' CODEC(Delta(8), ZSTD(1)),
  end_ts DateTime64(6, 'UTC') COMMENT 'last byte seen' CODEC(Delta(8), ZSTD(1)),
  cluster LowCardinality(String) COMMENT 'name of the cluster, from the capturer''s configuration',
  node LowCardinality(String) COMMENT 'host that captured',
  capture_side LowCardinality(String) COMMENT 'unknown, client, server: the end at which the bytes were seen',
  capture_source LowCardinality(String) COMMENT 'openssl, socket, pcap ...: where the bytes were read',
  conn_id UInt64 COMMENT 'as in flows' CODEC(ZSTD(1)),
  transport LowCardinality(String) COMMENT 'tcp, udp, unix',
  client_ip String COMMENT 'as in flows' CODEC(ZSTD(1)),
  client_port UInt16 COMMENT '0 where not known' CODEC(ZSTD(1)),
  server_ip String COMMENT 'as in flows' CODEC(ZSTD(1)),
  server_port UInt16 COMMENT '0 where not known' CODEC(ZSTD(1)),
  pid UInt32 COMMENT 'process at the observed end; 0 where not known' CODEC(ZSTD(1)),
  comm LowCardinality(String) COMMENT 'its name as the kernel has it',
  container LowCardinality(String) COMMENT 'container id of the process; empty outside containers',
  protocol LowCardinality(String) COMMENT 'decoder that read it; empty where none recognised it',
  undecoded_reason LowCardinality(String) COMMENT 'why there are no flows, closed set; empty where there are',
  tls_version LowCardinality(String) COMMENT 'as in flows',
  bytes_to_server UInt64 COMMENT 'bytes that passed' CODEC(T64, ZSTD(1)),
  bytes_to_client UInt64 COMMENT 'bytes that passed' CODEC(T64, ZSTD(1)),
  gap_bytes_to_server UInt64 COMMENT 'of them known to be missing' CODEC(T64, ZSTD(1)),
  gap_bytes_to_client UInt64 COMMENT 'of them known to be missing' CODEC(T64, ZSTD(1)),
  exchanges UInt32 COMMENT 'flows it gave' CODEC(T64, ZSTD(1)),
  state LowCardinality(String) COMMENT 'open, closed, reset, idle, evicted, input_end: how its row came to be written',
  midstream UInt8 COMMENT '1 = already alive when first seen',
  INDEX by_connection conn_id TYPE bloom_filter(0.01) GRANULARITY 2,
  INDEX by_client client_ip TYPE bloom_filter(0.01) GRANULARITY 2
)
ENGINE = MergeTree
PARTITION BY toDate(ts)
ORDER BY (toStartOfHour(ts), server_ip, server_port, client_ip, conn_id)
TTL toDateTime(ts) + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000,
  replicated_deduplication_window = 20000, replicated_deduplication_window_seconds = 604800
COMMENT 'one row per connection, also of those that gave no flows'
