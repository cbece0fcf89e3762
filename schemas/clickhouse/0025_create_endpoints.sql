-- Every call once, as in klartext.edges: per hour and endpoint the end that saw more of it speaks for both.
CREATE OR REPLACE VIEW klartext.endpoints AS
SELECT * EXCEPT (hour, seen, chosen)
FROM
(
  SELECT *, max((seen, capture_side)) OVER (PARTITION BY hour, server_cluster, server_ns, server_workload, protocol, method, endpoint) AS chosen
  FROM
  (
    SELECT *, toStartOfHour(minute) AS hour,
      sum(requests) OVER (PARTITION BY hour, capture_side, server_cluster, server_ns, server_workload, protocol, method, endpoint) AS seen
    FROM
    (
      SELECT
      r.minute AS minute,
      r.server_cluster AS server_cluster,
      r.server_ns AS server_ns,
      r.server_workload AS server_workload,
      r.protocol AS protocol,
      r.method AS method,
      r.endpoint AS endpoint,
      r.status_code AS status_code,
      r.outcome AS outcome,
      r.capture_side AS capture_side,
      sum(r.requests) AS requests,
      sum(r.req_bytes) AS req_bytes,
      sum(r.resp_bytes) AS resp_bytes,
      quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(r.latency) AS latency
      FROM klartext.endpoints_1m AS r
      GROUP BY minute, server_cluster, server_ns, server_workload, protocol, method, endpoint, status_code, outcome, capture_side
    )
  )
)
WHERE capture_side = chosen.2
