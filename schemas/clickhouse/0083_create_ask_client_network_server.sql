-- client_ms is what is left: the client sending its request and taking the answer, and of what is sent in pieces the time
-- between its first and its last byte, whoever was slow then.
CREATE OR REPLACE VIEW klartext.ask_client_network_server AS
SELECT
  client_cluster, client_ns, client_workload, server_cluster, server_ns, server_workload, protocol,
  count() AS calls,
  round(avg(total_us) / 1000, 3) AS total_ms,
  round(avg(client_us) / 1000, 3) AS client_ms,
  round(avg(network_us) / 1000, 3) AS network_ms,
  round(avg(server_us) / 1000, 3) AS server_ms,
  multiIf(network_ms >= greatest(client_ms, server_ms), 'network', server_ms >= client_ms, 'server', 'client') AS mostly,
  any(clock_offset_us) AS clock_offset_us
FROM klartext.calls(since = {since:DateTime64(6, 'UTC')}, until = {until:DateTime64(6, 'UTC')})
WHERE timed
GROUP BY client_cluster, client_ns, client_workload, server_cluster, server_ns, server_workload, protocol
ORDER BY total_ms DESC
COMMENT 'Is it the client, the network or the server: shares of the latency per edge, of calls that both ends captured'
