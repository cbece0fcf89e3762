CREATE MATERIALIZED VIEW IF NOT EXISTS klartext.fill_endpoints_1m TO klartext.endpoints_1m AS
SELECT
  toStartOfMinute(f.ts) AS minute,
  f.server_cluster AS server_cluster,
  f.server_ns AS server_ns,
  f.server_name AS server_workload,
  f.protocol AS protocol,
  f.method AS method,
  f.endpoint AS endpoint,
  f.status_code AS status_code,
  f.outcome AS outcome,
  f.capture_side AS capture_side,
  count() AS requests,
  sum(f.req_bytes) AS req_bytes,
  sum(f.resp_bytes) AS resp_bytes,
  quantilesDDStateIf(0.01, 0.5, 0.9, 0.95, 0.99)(f.latency_us, f.latency_us > 0) AS latency
FROM klartext.flows AS f
GROUP BY minute, server_cluster, server_ns, server_workload, protocol, method, endpoint, status_code, outcome, capture_side
