-- Clusters are told apart; a call that both ends saw is one row, as its client saw it; and what stays open on purpose (WebSocket, server-sent
-- events) is not slow.
CREATE OR REPLACE VIEW klartext.ask_slow_requests AS
SELECT
  ts, client_cluster, client_ns, client_name AS client_workload, server_cluster, server_ns, server_name AS server_workload, protocol, method, resource, status_code,
  outcome, round(latency_us / 1000, 2) AS latency_ms, round(ttfb_us / 1000, 2) AS ttfb_ms, capture_side, trace_id, flow_id
FROM klartext.flows
WHERE ts >= {since:DateTime64(6, 'UTC')} AND ts < {until:DateTime64(6, 'UTC')}
  AND protocol != 'websocket' AND status_code != 101 AND NOT startsWith(content_type, 'text/event-stream')
ORDER BY latency_us DESC
LIMIT 1 BY client_cluster, server_cluster, client_ip, client_port, server_ip, server_port, exchange_seq, method, resource
LIMIT 100
COMMENT 'Which requests were slowest: the hundred slowest, with what names their evidence; streams of gRPC are as long as they are open'
