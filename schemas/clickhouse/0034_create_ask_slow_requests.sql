CREATE OR REPLACE VIEW klartext.ask_slow_requests AS
SELECT
  ts, client_ns, client_name AS client_workload, server_ns, server_name AS server_workload, protocol, method, resource, status_code,
  outcome, round(latency_us / 1000, 2) AS latency_ms, round(ttfb_us / 1000, 2) AS ttfb_ms, capture_side, trace_id, flow_id
FROM klartext.flows
WHERE ts >= {since:DateTime64(6, 'UTC')} AND ts < {until:DateTime64(6, 'UTC')}
ORDER BY latency_us DESC
LIMIT 100
COMMENT 'Which requests were slowest: the hundred slowest, with what names their evidence'
