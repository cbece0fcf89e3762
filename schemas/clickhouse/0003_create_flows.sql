-- One row per exchange. Columns are those of FLOW_COLUMNS in services/core/flow.ts, in that order.
--
-- ORDER BY: the hour first, because every query has a time range; then who serves, so that equal values lie together. On
--   1.5 million rows that took 40 bytes a row where the order of time alone took 52. The last two make the order total.
-- PARTITION BY: a day is what the TTL drops at once (ttl_only_drop_parts) and few enough parts for a month.
-- Addresses are text: readable, comparable, '' where the socket was never bound, and one column for both families
--   (isIPAddressInRange(client_ip, '10.0.0.0/8') compares). Sorted they compress as well as numbers do.
-- Text columns with a closed or repeating set of values are LowCardinality and not Enum: a new value needs no migration.
-- Deduplication windows: an insert that is tried again with its token changes nothing, within the last 10 000 inserts
--   (single server) or 7 days (replicated), longer than the sink may be away before it asks the table itself.
CREATE TABLE IF NOT EXISTS klartext.flows
(
  ts DateTime64(6, 'UTC') COMMENT 'first request byte, or first response byte where no request was seen; UTC, µs. Source: capture clock' CODEC(Delta(8), ZSTD(1)),
  latency_us UInt64 COMMENT 'µs from first request byte to last response byte; 0 where one of the two was not seen' CODEC(T64, ZSTD(1)),
  ttfb_us UInt64 COMMENT 'µs from last request byte to first response byte; 0 where one of the two was not seen' CODEC(T64, ZSTD(1)),
  cluster LowCardinality(String) COMMENT 'name of the cluster, from the capturer''s configuration',
  node LowCardinality(String) COMMENT 'host that captured',
  capture_side LowCardinality(String) COMMENT 'unknown, client, server: the end at which the bytes were seen; unknown between the ends',
  capture_source LowCardinality(String) COMMENT 'openssl, go, gnutls, ktls, socket, pcap, replay: where the bytes were read',
  conn_id UInt64 COMMENT 'one life of one socket; stable over node, process and descriptor reuse' CODEC(ZSTD(1)),
  exchange_seq UInt32 COMMENT 'number of the exchange in its connection, from 0' CODEC(T64, ZSTD(1)),
  client_ip String COMMENT 'text, IPv4 dotted, IPv6 compressed; empty where not known' CODEC(ZSTD(1)),
  client_port UInt16 COMMENT '0 where not known' CODEC(ZSTD(1)),
  server_ip String COMMENT 'as client_ip' CODEC(ZSTD(1)),
  server_port UInt16 COMMENT '0 where not known' CODEC(ZSTD(1)),
  transport LowCardinality(String) COMMENT 'tcp, udp, unix',
  client_kind LowCardinality(String) COMMENT 'unknown, pod, service, node, external',
  client_cluster LowCardinality(String) COMMENT 'Kubernetes, at the time of the flow',
  client_ns LowCardinality(String) COMMENT 'Kubernetes namespace',
  client_workload LowCardinality(String) COMMENT 'Deployment, StatefulSet, DaemonSet, Job that owns the pod',
  client_pod LowCardinality(String) COMMENT 'Kubernetes pod name',
  client_container LowCardinality(String) COMMENT 'container name, or its id where the name is not known',
  client_node LowCardinality(String) COMMENT 'Kubernetes node of the pod',
  client_zone LowCardinality(String) COMMENT 'topology.kubernetes.io/zone of the node',
  client_service LowCardinality(String) COMMENT 'Kubernetes service that was addressed',
  client_sa LowCardinality(String) COMMENT 'Kubernetes service account',
  server_kind LowCardinality(String) COMMENT 'unknown, pod, service, node, external',
  server_cluster LowCardinality(String) COMMENT 'Kubernetes, at the time of the flow',
  server_ns LowCardinality(String) COMMENT 'Kubernetes namespace',
  server_workload LowCardinality(String) COMMENT 'Deployment, StatefulSet, DaemonSet, Job that owns the pod',
  server_pod LowCardinality(String) COMMENT 'Kubernetes pod name',
  server_container LowCardinality(String) COMMENT 'container name, or its id where the name is not known',
  server_node LowCardinality(String) COMMENT 'Kubernetes node of the pod',
  server_zone LowCardinality(String) COMMENT 'topology.kubernetes.io/zone of the node',
  server_service LowCardinality(String) COMMENT 'Kubernetes service that was addressed',
  server_sa LowCardinality(String) COMMENT 'Kubernetes service account',
  protocol LowCardinality(String) COMMENT 'http1, http2, grpc, postgresql, redis, dns ...: decoder that read it',
  l7_version LowCardinality(String) COMMENT 'version of the protocol as it names itself',
  method LowCardinality(String) COMMENT 'HTTP method, SQL verb, command; see schemas/README.md',
  host LowCardinality(String) COMMENT 'authority, server name or database, as the client named it',
  endpoint LowCardinality(String) COMMENT 'template of the resource, to group by',
  resource String COMMENT 'request target, statement, key as sent; masked as the policy says' CODEC(ZSTD(3)),
  status_code UInt16 COMMENT 'the protocol''s own: HTTP status, gRPC status, rcode ...; 0 with HTTP: no answer seen' CODEC(ZSTD(1)),
  outcome LowCardinality(String) COMMENT 'ok, client_error, server_error, timeout, no_response, reset, unknown',
  error LowCardinality(String) COMMENT 'SQLSTATE, error word or reason; empty where there is none',
  user_agent LowCardinality(String) COMMENT 'as sent',
  content_type LowCardinality(String) COMMENT 'of the response, without parameters',
  req_bytes UInt64 COMMENT 'bytes of the request body or message, transfer coding removed' CODEC(T64, ZSTD(1)),
  resp_bytes UInt64 COMMENT 'bytes of the response body or message, transfer coding removed' CODEC(T64, ZSTD(1)),
  trace_id String COMMENT '32 hex digits, from traceparent, b3 and the like; empty where none was sent' CODEC(ZSTD(3)),
  span_id String COMMENT '16 hex digits' CODEC(ZSTD(3)),
  request_id String COMMENT 'x-request-id and the like' CODEC(ZSTD(3)),
  principal String COMMENT 'keyed hash of the user or credential, never the credential' CODEC(ZSTD(3)),
  tls_version LowCardinality(String) COMMENT '1.2, 1.3; empty: not known or no TLS',
  sni LowCardinality(String) COMMENT 'server name of the TLS handshake',
  findings Array(LowCardinality(String)) COMMENT 'anomalies and security observations, closed set',
  pii Array(LowCardinality(String)) COMMENT 'kinds of personal data that passed, closed set',
  redactions Array(LowCardinality(String)) COMMENT 'what the policy masked before it was stored',
  complete UInt8 COMMENT '1 = request and response seen from first to last byte',
  gaps UInt16 COMMENT 'gaps inside the exchange' CODEC(ZSTD(1)),
  truncated UInt8 COMMENT '1 = a value was cut at a limit',
  decoder_version LowCardinality(String) COMMENT 'version of klartext that decoded it',
  schema_version UInt8 COMMENT 'version of this list of columns',
  attrs Map(LowCardinality(String), String) COMMENT 'further values under OpenTelemetry semantic-convention names' CODEC(ZSTD(3)),
  req_headers Map(LowCardinality(String), String) COMMENT 'request headers the policy lets through, names in lower case' CODEC(ZSTD(3)),
  resp_headers Map(LowCardinality(String), String) COMMENT 'response headers the policy lets through, names in lower case' CODEC(ZSTD(3)),
  pid UInt32 COMMENT 'process at the observed end; 0 where not known' CODEC(T64, ZSTD(1)),
  comm LowCardinality(String) COMMENT 'its name as the kernel has it, at most 15 bytes',
  seg_partition UInt16 COMMENT 'evidence: partition of klartext.segments' CODEC(ZSTD(1)),
  seg_first UInt64 COMMENT 'evidence: first offset there' CODEC(T64, ZSTD(1)),
  seg_last UInt64 COMMENT 'evidence: last offset there' CODEC(T64, ZSTD(1)),
  in_partition UInt16 COMMENT 'sink ledger: partition of klartext.flows' CODEC(ZSTD(1)),
  batch_first UInt64 COMMENT 'sink ledger: first offset of the insert that brought this row' CODEC(T64, ZSTD(1)),
  flow_id UInt64 ALIAS sipHash64(conn_id, exchange_seq) COMMENT 'one number for a flow; computed, takes no space',
  INDEX by_trace trace_id TYPE bloom_filter(0.001) GRANULARITY 1,
  INDEX by_request request_id TYPE bloom_filter(0.001) GRANULARITY 1,
  INDEX by_connection conn_id TYPE bloom_filter(0.01) GRANULARITY 2,
  INDEX by_client client_ip TYPE bloom_filter(0.01) GRANULARITY 2,
  INDEX by_server server_ip TYPE bloom_filter(0.01) GRANULARITY 2,
  INDEX by_finding findings TYPE bloom_filter(0.01) GRANULARITY 1,
  INDEX by_latency latency_us TYPE minmax GRANULARITY 1,
  INDEX by_batch batch_first TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toDate(ts)
ORDER BY (toStartOfHour(ts), server_ns, server_workload, protocol, endpoint, outcome, client_ns, client_workload, conn_id, exchange_seq)
TTL toDateTime(ts) + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000,
  replicated_deduplication_window = 20000, replicated_deduplication_window_seconds = 604800
COMMENT 'one row per exchange: who talked to whom, what, how long, how it ended'
