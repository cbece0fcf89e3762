-- Who had which address and container, from when to when: what flows are named by, kept longer than they are. Columns are those
-- of POD_COLUMNS in services/core/rows.ts. Every change of what is known of an identity is a row; of one key the latest stays,
-- so that queries say FINAL.
CREATE TABLE IF NOT EXISTS klartext.pods
(
  cluster LowCardinality(String) COMMENT 'name of the cluster, from the directory''s configuration',
  kind LowCardinality(String) COMMENT 'pod, service, node, namespace',
  key String COMMENT 'uid of the object, with a number behind it for a later life with other addresses' CODEC(ZSTD(1)),
  ns LowCardinality(String) COMMENT 'Kubernetes namespace',
  name String COMMENT 'name of the object' CODEC(ZSTD(1)),
  workload LowCardinality(String) COMMENT 'what is at the end of the pod''s owners, or the pod itself; of a service the one behind it',
  workload_kind LowCardinality(String) COMMENT 'Deployment, StatefulSet, DaemonSet, Job, CronJob, Pod ...',
  node LowCardinality(String) COMMENT 'node of the pod',
  zone LowCardinality(String) COMMENT 'topology.kubernetes.io/zone of the node',
  region LowCardinality(String) COMMENT 'topology.kubernetes.io/region of the node',
  service LowCardinality(String) COMMENT 'the service; of a pod the one it belongs to, where it is exactly one',
  sa LowCardinality(String) COMMENT 'service account of the pod',
  pod_uid String COMMENT 'of a pod: its uid as the kubelet names cgroups by it' CODEC(ZSTD(1)),
  addresses Array(String) COMMENT 'text, as in flows; this one''s alone while it is valid' CODEC(ZSTD(1)),
  container_ids Array(String) COMMENT 'as runtimes and cgroups name them' CODEC(ZSTD(1)),
  container_names Array(LowCardinality(String)) COMMENT 'at the same places' CODEC(ZSTD(1)),
  valid_from DateTime64(6, 'UTC') COMMENT 'inclusive; UTC. Source: Kubernetes, whole seconds' CODEC(Delta(8), ZSTD(1)),
  valid_to DateTime64(6, 'UTC') COMMENT 'exclusive; in the year 2149, the last a table holds, while no end is known' CODEC(ZSTD(1)),
  known DateTime64(6, 'UTC') COMMENT 'since when this is known; of one key the latest counts' CODEC(Delta(8), ZSTD(1)),
  INDEX by_address addresses TYPE bloom_filter(0.01) GRANULARITY 1,
  INDEX by_container container_ids TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(known)
ORDER BY (cluster, kind, ns, name, key)
TTL toDateTime(least(valid_to, toDateTime64('2100-01-01 00:00:00', 6, 'UTC'))) + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 10000,
  replicated_deduplication_window = 20000, replicated_deduplication_window_seconds = 604800
COMMENT 'who had which address and container of which cluster, and when; read it with FINAL'
