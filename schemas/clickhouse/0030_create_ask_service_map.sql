CREATE OR REPLACE VIEW klartext.ask_service_map AS
SELECT
  client_cluster, client_ns, client_workload, server_cluster, server_ns, server_workload, server_port, protocol,
  sum(e.requests) AS requests,
  round(requests / greatest(1, dateDiff('second', {since:DateTime64(6, 'UTC')}, {until:DateTime64(6, 'UTC')})), 3) AS per_second,
  round(100 * sum(e.server_errors + e.unanswered) / requests, 2) AS error_percent,
  round(100 * sum(e.client_errors) / requests, 2) AS client_error_percent,
  arrayMap(x -> round(x / 1000, 2), quantilesDDMerge(0.01, 0.5, 0.9, 0.95, 0.99)(e.latency)) AS p50_p90_p95_p99_ms,
  sum(e.req_bytes) AS req_bytes,
  sum(e.resp_bytes) AS resp_bytes
FROM klartext.edges AS e
WHERE minute >= toStartOfMinute({since:DateTime64(6, 'UTC')}) AND minute < {until:DateTime64(6, 'UTC')}
GROUP BY client_cluster, client_ns, client_workload, server_cluster, server_ns, server_workload, server_port, protocol
ORDER BY requests DESC
COMMENT 'Who calls whom: requests, errors, latency and bytes per edge, busiest first'
