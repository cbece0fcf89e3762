-- What few requests show by chance is no regression. A generation is slower where more of its requests than the 5 %
-- that always are lie beyond the 95th percentile of the one before, by four standard deviations of chance; it fails more where
-- the two shares of errors differ by three.
CREATE OR REPLACE VIEW klartext.ask_regression AS
WITH requests AS
(
  SELECT server_cluster, server_ns, server_workload,
    extract(server_pod, '-([0-9a-z]{6,10})-[0-9a-z]{5}$') AS generation, ts, latency_us,
    outcome IN ('server_error', 'timeout', 'no_response', 'reset') AS failed
  FROM klartext.flows
  WHERE ts >= {since:DateTime64(6, 'UTC')} AND ts < {until:DateTime64(6, 'UTC')} AND server_workload != '' AND capture_side != 'client'
    AND generation != ''
),
generations AS
(
  SELECT server_cluster, server_ns, server_workload, generation,
    min(ts) AS since, count() AS n, countIf(failed) AS errors, quantileIf(0.95)(latency_us, latency_us > 0) AS p95
  FROM requests
  GROUP BY server_cluster, server_ns, server_workload, generation
),
pairs AS
(
  SELECT server_cluster, server_ns, server_workload,
    arraySort(x -> x.1, groupArray((since, generation, n, errors, p95))) AS g
  FROM generations
  GROUP BY server_cluster, server_ns, server_workload
  HAVING length(g) >= 2 AND g[-2].3 >= 50 AND g[-1].3 >= 50
),
measured AS
(
  SELECT server_cluster, server_ns, server_workload, any(p.g) AS g, countIf(r.latency_us > p.g[-2].5) AS beyond
  FROM requests AS r
  INNER JOIN pairs AS p USING (server_cluster, server_ns, server_workload)
  WHERE r.generation = p.g[-1].2
  GROUP BY server_cluster, server_ns, server_workload
)
SELECT
  g[-1].1 AS since, server_cluster, server_ns, server_workload, g[-2].2 AS before, g[-1].2 AS now,
  g[-2].3 AS requests_before, g[-1].3 AS requests_now,
  round(g[-2].5 / 1000, 2) AS p95_ms_before, round(g[-1].5 / 1000, 2) AS p95_ms_now,
  round(100 * g[-2].4 / g[-2].3, 2) AS error_percent_before, round(100 * g[-1].4 / g[-1].3, 2) AS error_percent_now
FROM measured
WHERE
  (
    p95_ms_now >= 1.3 * p95_ms_before + 1
    AND beyond / requests_now - 0.05 >= 4 * sqrt(0.05 * 0.95 * (1 / requests_now + 1 / requests_before))
  )
  OR
  (
    error_percent_now >= error_percent_before + 1
    AND (g[-1].4 / requests_now - g[-2].4 / requests_before) >=
      3 * sqrt((g[-1].4 + g[-2].4) / (requests_now + requests_before) * (1 - (g[-1].4 + g[-2].4) / (requests_now + requests_before)) * (1 / requests_now + 1 / requests_before))
  )
ORDER BY greatest(p95_ms_now / greatest(p95_ms_before, 0.01), error_percent_now - error_percent_before) DESC
COMMENT 'What got slower or fails more since its last version: the newest generation of pods of each workload beside the one before, worst first; generations are told by the pod names of Deployments, and both need 50 requests'
