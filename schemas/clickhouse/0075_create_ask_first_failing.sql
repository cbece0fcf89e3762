-- Each call counts once, and a service fails where more of a minute's calls do than it usually has and chance makes:
-- 3.5 standard deviations of Anscombe's transform of their count. Who always fails a little, or failed twice in ten seconds of
-- few calls, is not told. Calls of a service are those of the end that saw more of them.
CREATE OR REPLACE VIEW klartext.ask_first_failing AS
WITH
sides AS
(
  SELECT server_cluster, server_ns, server_name AS workload, capture_side, toStartOfInterval(ts, INTERVAL 10 SECOND) AS slice,
    count() AS requests, countIf(outcome IN ('server_error', 'timeout', 'no_response', 'reset')) AS errors,
    minIf(ts, outcome IN ('server_error', 'timeout', 'no_response', 'reset')) AS first_error
  FROM klartext.flows
  WHERE ts >= {since:DateTime64(6, 'UTC')} AND ts < {until:DateTime64(6, 'UTC')}
  GROUP BY server_cluster, server_ns, workload, capture_side, slice
),
chosen AS
(
  SELECT server_cluster, server_ns, workload, argMax(capture_side, seen) AS capture_side
  FROM (SELECT server_cluster, server_ns, workload, capture_side, sum(requests) AS seen FROM sides GROUP BY server_cluster, server_ns, workload, capture_side)
  GROUP BY server_cluster, server_ns, workload
),
slices AS
(
  SELECT server_cluster, server_ns, workload, slice, requests, errors, first_error,
    sum(errors) OVER minute AS minute_errors, sum(requests) OVER minute AS minute_requests,
    minute_errors / minute_requests AS ratio
  FROM sides
  INNER JOIN chosen USING (server_cluster, server_ns, workload, capture_side)
  WINDOW minute AS (PARTITION BY server_cluster, server_ns, workload ORDER BY toUnixTimestamp(slice) RANGE BETWEEN CURRENT ROW AND 50 FOLLOWING)
),
services AS
(
  SELECT server_cluster, server_ns, workload, least(0.2, median(ratio)) AS usual
  FROM slices
  GROUP BY server_cluster, server_ns, workload
),
failing AS
(
  SELECT server_cluster, server_ns, workload, min(first_error) AS since, sum(s.errors) AS errors, sum(s.requests) AS requests
  FROM slices AS s
  INNER JOIN services USING (server_cluster, server_ns, workload)
  WHERE s.ratio >= 0.05 AND 2 * (sqrt(s.minute_errors + 0.375) - sqrt(usual * s.minute_requests + 0.375)) >= 3.5
    AND s.errors > 0 AND s.errors / s.requests >= s.ratio / 2
  GROUP BY server_cluster, server_ns, workload
),
callers AS
(
  SELECT server_cluster, server_ns, server_name AS workload,
    groupUniqArray(100)((client_cluster, client_ns, client_name)) AS felt_by
  FROM klartext.flows
  WHERE ts >= {since:DateTime64(6, 'UTC')} AND ts < {until:DateTime64(6, 'UTC')} AND outcome IN ('server_error', 'timeout', 'no_response', 'reset')
  GROUP BY server_cluster, server_ns, workload
),
callees AS
(
  SELECT DISTINCT client_cluster, client_ns, client_name, server_cluster, server_ns, server_name
  FROM klartext.flows
  WHERE ts >= {since:DateTime64(6, 'UTC')} AND ts < {until:DateTime64(6, 'UTC')} AND outcome IN ('server_error', 'timeout', 'no_response', 'reset')
),
causes AS
(
  SELECT f.server_cluster AS server_cluster, f.server_ns AS server_ns, f.workload AS workload,
    argMin(concat(c.server_ns, '/', c.server_name), g.since) AS failed_before
  FROM failing AS f
  INNER JOIN callees AS c ON c.client_cluster = f.server_cluster AND c.client_ns = f.server_ns AND c.client_name = f.workload
  INNER JOIN failing AS g ON g.server_cluster = c.server_cluster AND g.server_ns = c.server_ns AND g.workload = c.server_name
  WHERE g.since <= f.since + INTERVAL 10 SECOND AND (g.server_ns, g.workload) != (f.server_ns, f.workload)
  GROUP BY server_cluster, server_ns, workload
)
SELECT
  failing.since AS failing_since, server_cluster, server_ns, workload AS server_workload,
  failing.errors AS errors, round(100 * failing.errors / failing.requests, 2) AS error_percent,
  arrayMap(x -> concat(x.2, '/', x.3), callers.felt_by) AS felt_by,
  causes.failed_before AS failed_before
FROM failing
LEFT JOIN callers USING (server_cluster, server_ns, workload)
LEFT JOIN causes USING (server_cluster, server_ns, workload)
ORDER BY failed_before != '', failing_since
COMMENT 'Which service failed first: since when, how badly, who felt it, and which of its own callees failed before it (empty: it is where the failure began). Six failed calls within a minute are the least that is told'
