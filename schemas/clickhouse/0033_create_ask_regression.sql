CREATE OR REPLACE VIEW klartext.ask_regression AS
WITH generations AS
(
  SELECT server_cluster, server_ns, server_workload,
    extract(server_pod, '-([0-9a-z]{6,10})-[0-9a-z]{5}$') AS generation,
    min(ts) AS since, count() AS requests, countIf(outcome IN ('server_error', 'timeout', 'no_response', 'reset')) AS errors,
    quantileIf(0.95)(latency_us, latency_us > 0) AS p95
  FROM klartext.flows
  WHERE ts >= {since:DateTime64(6, 'UTC')} AND ts < {until:DateTime64(6, 'UTC')} AND server_workload != '' AND capture_side != 'client'
  GROUP BY server_cluster, server_ns, server_workload, generation
  HAVING generation != ''
),
pairs AS
(
  SELECT server_cluster, server_ns, server_workload,
    arraySort(x -> x.1, groupArray((since, generation, requests, errors, p95))) AS g
  FROM generations
  GROUP BY server_cluster, server_ns, server_workload
  HAVING length(g) >= 2
)
SELECT
  g[-1].1 AS since, server_cluster, server_ns, server_workload, g[-2].2 AS before, g[-1].2 AS now,
  g[-2].3 AS requests_before, g[-1].3 AS requests_now,
  round(g[-2].5 / 1000, 2) AS p95_ms_before, round(g[-1].5 / 1000, 2) AS p95_ms_now,
  round(100 * g[-2].4 / g[-2].3, 2) AS error_percent_before, round(100 * g[-1].4 / g[-1].3, 2) AS error_percent_now
FROM pairs
WHERE requests_before >= 50 AND requests_now >= 50
  AND (p95_ms_now >= 1.3 * p95_ms_before + 1 OR error_percent_now >= error_percent_before + 1)
ORDER BY greatest(p95_ms_now / greatest(p95_ms_before, 0.01), error_percent_now - error_percent_before) DESC
COMMENT 'What got slower or fails more since its last version: the newest generation of pods of each workload beside the one before, worst first'
