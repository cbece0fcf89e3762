-- Latency regression: an endpoint answers far slower than it did in the hours before.
-- severity: medium
-- every: 5m
-- looks back: 3h
-- suppress: 2h
-- param min_requests UInt32 50: requests in the last ten minutes, and before, below which nothing is said
-- param factor Float64 1.5: how much slower its 95th percentile must be
-- param least_us UInt64 5000: and by how many µs at least
WITH spans AS
(
  SELECT server_cluster, server_ns, server_workload, protocol, method, endpoint,
    minute >= {until:DateTime64(6, 'UTC')} - INTERVAL 10 MINUTE AS recent,
    sum(e.requests) AS requests, quantilesDDMerge(0.01, 0.5, 0.9, 0.95, 0.99)(e.latency)[3] AS p95
  FROM klartext.endpoints AS e
  WHERE minute >= {since:DateTime64(6, 'UTC')} AND minute < {until:DateTime64(6, 'UTC')} AND outcome = 'ok'
  GROUP BY server_cluster, server_ns, server_workload, protocol, method, endpoint, recent
),
slower AS
(
  SELECT server_cluster, server_ns, server_workload, method, endpoint,
    anyIf(p95, recent) AS now, anyIf(p95, NOT recent) AS before
  FROM spans
  GROUP BY server_cluster, server_ns, server_workload, protocol, method, endpoint
  HAVING anyIf(requests, recent) >= {min_requests:UInt32} AND anyIf(requests, NOT recent) >= {min_requests:UInt32}
    AND now >= {factor:Float64} * before AND now - before >= {least_us:UInt64}
)
SELECT
  concat(server_cluster, '/', server_ns, '/', server_workload, ' ', method, ' ', endpoint) AS subject,
  now / before AS score,
  concat(method, ' ', endpoint, ' of ', server_workload, ': 95th percentile ', toString(round(now / 1000, 1)), ' ms, before ',
    toString(round(before / 1000, 1)), ' ms') AS summary,
  (SELECT groupArray(5)(f.flow_id) FROM klartext.flows AS f
    WHERE f.ts >= {until:DateTime64(6, 'UTC')} - INTERVAL 10 MINUTE AND f.ts < {until:DateTime64(6, 'UTC')} AND f.server_ns = slower.server_ns
      AND f.server_name = slower.server_workload AND f.endpoint = slower.endpoint AND f.method = slower.method
      AND f.latency_us >= slower.now * 0.9) AS evidence,
  map('p95_us', toString(round(now)), 'p95_before_us', toString(round(before))) AS attrs
FROM slower
