-- Every call once: where both ends captured an edge, the end that saw more of it in an hour speaks for both. The other
-- missed something (a capturer that started late, a lossy node); the sum of the two would count the same calls twice. By the
-- hour and not by the minute, because the clocks of two nodes put a call near the full minute into different ones.
CREATE OR REPLACE VIEW klartext.edges AS
SELECT * EXCEPT (hour, seen, chosen)
FROM
(
  SELECT *, max((seen, capture_side)) OVER (PARTITION BY hour, client_cluster, client_ns, client_workload, client_kind, server_cluster, server_ns, server_workload, server_kind, server_port, protocol, scope) AS chosen
  FROM
  (
    SELECT *, toStartOfHour(minute) AS hour,
      sum(requests) OVER (PARTITION BY hour, capture_side, client_cluster, client_ns, client_workload, client_kind, server_cluster, server_ns, server_workload, server_kind, server_port, protocol, scope) AS seen
    FROM
    (
      SELECT
      r.minute AS minute,
      r.client_cluster AS client_cluster,
      r.client_ns AS client_ns,
      r.client_workload AS client_workload,
      r.client_kind AS client_kind,
      r.server_cluster AS server_cluster,
      r.server_ns AS server_ns,
      r.server_workload AS server_workload,
      r.server_kind AS server_kind,
      r.server_port AS server_port,
      r.protocol AS protocol,
      r.scope AS scope,
      r.capture_side AS capture_side,
      sum(r.requests) AS requests,
      sum(r.client_errors) AS client_errors,
      sum(r.server_errors) AS server_errors,
      sum(r.unanswered) AS unanswered,
      sum(r.incomplete) AS incomplete,
      sum(r.req_bytes) AS req_bytes,
      sum(r.resp_bytes) AS resp_bytes,
      sum(r.latency_sum_us) AS latency_sum_us,
      max(r.latency_max_us) AS latency_max_us,
      quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(r.latency) AS latency,
      sum(r.findings) AS findings,
      uniqCombinedMergeState(12)(r.client_pods) AS client_pods,
      uniqCombinedMergeState(12)(r.server_pods) AS server_pods
      FROM klartext.edges_1m AS r
      GROUP BY minute, client_cluster, client_ns, client_workload, client_kind, server_cluster, server_ns, server_workload, server_kind, server_port, protocol, scope, capture_side
    )
  )
)
WHERE capture_side = chosen.2
