-- Latency regression: an endpoint answers far slower than it did in the hours before.
-- severity: medium
-- every: 5m
-- looks back: 3h
-- suppress: 2h
-- param min_requests UInt32 50: requests in the last ten minutes, and before, below which nothing is said
-- param factor Float64 1.5: how much slower its 95th percentile must be
-- param least_us UInt64 5000: and by how many µs at least
-- param worse Float64 1.25: how much slower than in the slowest ten minutes of those before
-- param z Float64 4: requests beyond the old 95th percentile, in standard deviations of chance above the 5 % that always are
--
-- What it cannot tell: an endpoint that is new, or is called less than 50 times in ten minutes; one that becomes slower by
-- less than factor and least_us; slow growth over hours, which is in the three hours before as well. Work that is slow less
-- often than every three hours (a nightly report on the same endpoint) is told each time.
WITH
spans AS
(
  SELECT server_cluster, server_ns, server_workload, protocol, method, endpoint,
    intDiv(toUInt32({until:DateTime64(6, 'UTC')}) - toUInt32(minute) - 1, 600) AS span,
    sum(e.requests) AS requests, quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(e.latency) AS latency,
    finalizeAggregation(latency)[3] AS p95
  FROM klartext.endpoints AS e
  WHERE minute >= {since:DateTime64(6, 'UTC')} AND minute < {until:DateTime64(6, 'UTC')} AND outcome = 'ok'
  GROUP BY server_cluster, server_ns, server_workload, protocol, method, endpoint, span
),
candidates AS
(
  SELECT server_cluster, server_ns, server_workload, protocol, method, endpoint,
    anyIf(s.p95, s.span = 0) AS now, quantilesDDMergeIf(0.01, 0.5, 0.9, 0.95, 0.99)(s.latency, s.span > 0)[3] AS before,
    maxIf(s.p95, s.span > 0 AND s.requests >= {min_requests:UInt32} / 2) AS worst,
    sumIf(s.requests, s.span = 0) AS requests_now, sumIf(s.requests, s.span > 0) AS requests_before
  FROM spans AS s
  GROUP BY server_cluster, server_ns, server_workload, protocol, method, endpoint
  HAVING requests_now >= {min_requests:UInt32} AND requests_before >= {min_requests:UInt32}
    AND now >= {factor:Float64} * before AND now - before >= {least_us:UInt64} AND now >= {worse:Float64} * worst
),
sides AS
(
  SELECT server_cluster, server_ns, server_name AS server_workload, protocol, method, endpoint, now, before, requests_before,
    count() AS seen, countIf(f.latency_us > before) AS beyond
  FROM klartext.flows AS f
  INNER JOIN candidates AS c ON c.server_cluster = f.server_cluster AND c.server_ns = f.server_ns AND c.server_workload = f.server_name
    AND c.protocol = f.protocol AND c.method = f.method AND c.endpoint = f.endpoint
  WHERE f.ts >= {until:DateTime64(6, 'UTC')} - INTERVAL 10 MINUTE AND f.ts < {until:DateTime64(6, 'UTC')} AND f.outcome = 'ok'
  GROUP BY server_cluster, server_ns, server_workload, protocol, method, endpoint, now, before, requests_before, f.capture_side
),
-- Both percentiles are estimates: of few requests with a long tail they differ by half without anything having changed.
slower AS
(
  SELECT server_cluster, server_ns, server_workload, method, endpoint, now, before,
    max(seen) AS requests, argMax(beyond, seen) AS slow,
    (slow / requests - 0.05) / sqrt(0.05 * 0.95 * (1 / requests + 1 / requests_before)) AS beyond_chance
  FROM sides
  GROUP BY server_cluster, server_ns, server_workload, protocol, method, endpoint, now, before, requests_before
  HAVING beyond_chance >= {z:Float64}
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
