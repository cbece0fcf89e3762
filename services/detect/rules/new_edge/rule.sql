-- New edge: two workloads that have both been there for long talk to each other for the first time.
-- severity: medium
-- every: 1m
-- looks back: 1m
-- suppress: 7d
-- attack: T1021
-- param min_age_hours UInt32 24: how long both ends must have been known; a new workload has nothing but new edges
--
-- What it cannot tell: an edge that was there before anything was captured; a workload that calls another one of the
-- internet's addresses than before (all of them are one end here); a new port or protocol between two that know each other.
-- A planned change that makes two old workloads talk is told once, like an attack.
WITH
known AS
(
  SELECT cluster, ns, workload, min(first_seen) AS since
  FROM
  (
    SELECT client_cluster AS cluster, client_ns AS ns, client_workload AS workload, first_seen FROM klartext.edge_seen
    UNION ALL
    SELECT server_cluster AS cluster, server_ns AS ns, server_workload AS workload, first_seen FROM klartext.edge_seen
  )
  GROUP BY cluster, ns, workload
  HAVING since <= {until:DateTime64(6, 'UTC')} - toIntervalHour({min_age_hours:UInt32})
),
pairs AS
(
  SELECT client_cluster, client_ns, client_workload, server_cluster, server_ns, server_workload,
    min(first_seen) AS first, groupUniqArray(5)(protocol) AS protocols, groupUniqArray(5)(server_port) AS ports
  FROM klartext.edge_seen
  GROUP BY client_cluster, client_ns, client_workload, server_cluster, server_ns, server_workload
  HAVING first >= {since:DateTime64(6, 'UTC')} AND first < {until:DateTime64(6, 'UTC')}
)
SELECT
  concat(client_cluster, '/', client_ns, '/', client_workload, ' -> ', server_cluster, '/', server_ns, '/', server_workload) AS subject,
  1. AS score,
  concat(client_workload, ' talks to ', server_workload, ' for the first time (', arrayStringConcat(protocols, ', '), ')') AS summary,
  (SELECT groupArray(5)(f.flow_id) FROM klartext.flows AS f
    WHERE f.ts >= {since:DateTime64(6, 'UTC')} AND f.ts < {until:DateTime64(6, 'UTC')} AND f.client_ns = pairs.client_ns AND f.client_name = pairs.client_workload
      AND f.server_ns = pairs.server_ns AND f.server_name = pairs.server_workload) AS evidence,
  map('server_port', arrayStringConcat(arrayMap(x -> toString(x), ports), ',')) AS attrs
FROM pairs
INNER JOIN known AS c ON c.cluster = client_cluster AND c.ns = client_ns AND c.workload = client_workload
INNER JOIN known AS s ON s.cluster = server_cluster AND s.ns = server_ns AND s.workload = server_workload
