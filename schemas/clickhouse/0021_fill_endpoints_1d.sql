CREATE MATERIALIZED VIEW IF NOT EXISTS klartext.fill_endpoints_1d TO klartext.endpoints_1d AS
SELECT
  toDate(r.hour) AS day,
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
FROM klartext.endpoints_1h AS r
GROUP BY day, server_cluster, server_ns, server_workload, protocol, method, endpoint, status_code, outcome, capture_side
