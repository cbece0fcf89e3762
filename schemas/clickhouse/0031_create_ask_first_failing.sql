CREATE OR REPLACE VIEW klartext.ask_first_failing AS
WITH
slices AS
(
  SELECT server_cluster, server_ns, server_name AS workload, toStartOfInterval(ts, INTERVAL 10 SECOND) AS slice,
    count() AS requests, countIf(outcome IN ('server_error', 'timeout', 'no_response', 'reset')) AS errors, errors / requests AS ratio, minIf(ts, outcome IN ('server_error', 'timeout', 'no_response', 'reset')) AS first_error
  FROM klartext.flows
  WHERE ts >= {since:DateTime64(6, 'UTC')} AND ts < {until:DateTime64(6, 'UTC')}
  GROUP BY server_cluster, server_ns, workload, slice
),
services AS
(
  SELECT server_cluster, server_ns, workload, least(0.5, 4 * median(ratio)) AS usual
  FROM slices
  GROUP BY server_cluster, server_ns, workload
),
failing AS
(
  SELECT server_cluster, server_ns, workload, min(first_error) AS since, sum(s.errors) AS errors, sum(s.requests) AS requests
  FROM slices AS s
  INNER JOIN services USING (server_cluster, server_ns, workload)
  WHERE s.errors >= 3 AND s.ratio >= greatest(0.05, usual)
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
COMMENT 'Which service failed first: since when, how badly, who felt it, and which of its own callees failed before it (empty: it is where the failure began)'
