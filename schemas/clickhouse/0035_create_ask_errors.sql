CREATE OR REPLACE VIEW klartext.ask_errors AS
SELECT
  server_cluster, server_ns, server_name AS server_workload, protocol, method, endpoint, status_code, outcome, any(error) AS error,
  count() AS errors,
  uniqExact((client_ns, client_name)) AS clients,
  min(ts) AS first, max(ts) AS last,
  argMax(flow_id, ts) AS example_flow_id
FROM klartext.flows
WHERE ts >= {since:DateTime64(6, 'UTC')} AND ts < {until:DateTime64(6, 'UTC')} AND outcome NOT IN ('ok', 'unknown')
  AND (capture_side != 'client' OR (client_ip, client_port, server_ip, server_port) NOT IN
    (SELECT client_ip, client_port, server_ip, server_port FROM klartext.flows WHERE ts >= {since:DateTime64(6, 'UTC')} AND ts < {until:DateTime64(6, 'UTC')} AND capture_side = 'server'))
GROUP BY server_cluster, server_ns, server_workload, protocol, method, endpoint, status_code, outcome
ORDER BY errors DESC
COMMENT 'Which endpoints fail: errors per endpoint and answer, most first, each with one flow as an example'
