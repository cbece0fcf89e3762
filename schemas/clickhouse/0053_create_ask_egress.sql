CREATE OR REPLACE VIEW klartext.ask_egress AS
SELECT
  scope, client_cluster, client_ns, client_workload, server_cluster, server_ns, server_workload, protocol,
  sum(e.req_bytes) AS bytes_out, sum(e.resp_bytes) AS bytes_in, sum(e.requests) AS requests
FROM klartext.edges AS e
WHERE minute >= toStartOfMinute({since:DateTime64(6, 'UTC')}) AND minute < {until:DateTime64(6, 'UTC')} AND scope IN ('cross_zone', 'cross_region', 'other_cluster', 'internet')
GROUP BY scope, client_cluster, client_ns, client_workload, server_cluster, server_ns, server_workload, protocol
ORDER BY bytes_out + bytes_in DESC
COMMENT 'What leaves the zone, the cluster, the network: bytes and requests per pair and distance, most bytes first'
