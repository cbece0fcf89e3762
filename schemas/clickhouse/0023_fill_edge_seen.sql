CREATE MATERIALIZED VIEW IF NOT EXISTS klartext.fill_edge_seen TO klartext.edge_seen AS
SELECT
  f.client_cluster AS client_cluster,
  f.client_ns AS client_ns,
  f.client_name AS client_workload,
  f.client_kind AS client_kind,
  f.server_cluster AS server_cluster,
  f.server_ns AS server_ns,
  f.server_name AS server_workload,
  f.server_kind AS server_kind,
  f.server_port AS server_port,
  f.protocol AS protocol,
  min(f.ts) AS first_seen,
  max(f.ts) AS last_seen,
  count() AS requests
FROM klartext.flows AS f
GROUP BY client_cluster, client_ns, client_workload, client_kind, server_cluster, server_ns, server_workload, server_kind, server_port, protocol
