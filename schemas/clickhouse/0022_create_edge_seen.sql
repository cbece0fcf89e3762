-- Since when an edge is known, for ever: new edges are the first question of every investigation. No capture_side: whoever
-- saw it first. No TTL: there are few edges, and one that is forgotten would be new again.
CREATE TABLE IF NOT EXISTS klartext.edge_seen
(
  client_cluster LowCardinality(String) COMMENT 'as in flows',
  client_ns LowCardinality(String) COMMENT 'as in flows',
  client_workload LowCardinality(String) COMMENT 'client_name of flows',
  client_kind LowCardinality(String) COMMENT 'as in flows',
  server_cluster LowCardinality(String) COMMENT 'as in flows',
  server_ns LowCardinality(String) COMMENT 'as in flows',
  server_workload LowCardinality(String) COMMENT 'server_name of flows',
  server_kind LowCardinality(String) COMMENT 'as in flows',
  server_port UInt16 COMMENT 'as in flows',
  protocol LowCardinality(String) COMMENT 'as in flows',
  first_seen SimpleAggregateFunction(min, DateTime64(6, 'UTC')) COMMENT 'first flow, UTC',
  last_seen SimpleAggregateFunction(max, DateTime64(6, 'UTC')) COMMENT 'last flow, UTC',
  requests SimpleAggregateFunction(sum, UInt64) COMMENT 'flows; a call that both ends saw counts twice'
)
ENGINE = AggregatingMergeTree
ORDER BY (server_cluster, server_ns, server_workload, client_cluster, client_ns, client_workload, client_kind, server_kind,
  server_port, protocol)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 20000,
  replicated_deduplication_window_seconds = 604800
COMMENT 'first and last sight of every edge'
