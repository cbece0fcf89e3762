-- Brute force that succeeded: a client is refused many times in a row by a service and is then let in.
-- severity: critical
-- every: 1m
-- looks back: 15m
-- suppress: 1h
-- attack: T1110
-- param min_refused UInt32 20: refusals before the first success
WITH tries AS
(
  SELECT client_cluster, client_ns, client_name AS client, client_ip, server_ns, server_name AS server, protocol, endpoint,
    (protocol IN ('http1', 'http2') AND status_code IN (401, 403))
      OR (protocol = 'grpc' AND status_code IN (7, 16))
      OR error IN ('28P01', '28000', 'WRONGPASS', 'NOAUTH', 'ACCESS_DENIED') AS refused,
    ts, flow_id, outcome
  FROM klartext.flows
  WHERE ts >= {since:DateTime64(6, 'UTC')} AND ts < {until:DateTime64(6, 'UTC')} AND capture_side != 'client'
),
clients AS
(
  SELECT client_cluster, client_ns, client, client_ip, server_ns, server, protocol,
    countIf(refused) AS refusals, maxIf(ts, refused) AS last_refused, minIf(ts, refused) AS first_refused,
    groupUniqArrayIf(10)(endpoint, refused) AS endpoints,
    arraySort(x -> x.1, groupArrayIf(1000)((ts, endpoint, flow_id), outcome = 'ok')) AS successes,
    groupArrayIf(4)(flow_id, refused) AS samples
  FROM tries
  GROUP BY client_cluster, client_ns, client, client_ip, server_ns, server, protocol
  HAVING refusals >= {min_refused:UInt32}
),
let_in AS
(
  SELECT *, arrayFirst(x -> x.1 > last_refused AND has(endpoints, x.2), successes) AS success
  FROM clients
)
SELECT
  concat(client_ip, ' -> ', server_ns, '/', server) AS subject,
  refusals / {min_refused:UInt32} AS score,
  concat(client, ' (', client_ip, ') was refused by ', server, ' ', toString(refusals), ' times since ', toString(first_refused), ' and then let in') AS summary,
  arrayPushBack(samples, success.3) AS evidence,
  map('refusals', toString(refusals), 'endpoint', success.2) AS attrs
FROM let_in
WHERE success.3 != 0
