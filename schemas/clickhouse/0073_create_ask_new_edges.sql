-- A pair that met through a service's address and now meets directly is not new.
CREATE OR REPLACE VIEW klartext.ask_new_edges AS
SELECT
  min(first_seen) AS since, client_cluster, client_ns, client_workload, server_cluster, server_ns, server_workload, server_port, protocol,
  sum(requests) AS flows
FROM klartext.edge_seen
GROUP BY client_cluster, client_ns, client_workload, server_cluster, server_ns, server_workload, server_port, protocol
HAVING since >= {since:DateTime64(6, 'UTC')} AND since < {until:DateTime64(6, 'UTC')}
ORDER BY since DESC
COMMENT 'Who talks to whom for the first time: edges whose first flow ever falls into the time asked for, newest first'
