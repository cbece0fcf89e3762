-- Brute force that succeeded: a client is refused many times in a row by a service and is then let in.
-- severity: critical
-- every: 1m
-- looks back: 15m
-- suppress: 1h
-- attack: T1110
-- param min_refused UInt32 20: refusals in a row before the success
--
-- In a row: a client whose token runs out now and then, or an address that many people share, is let in again and again.
-- A refusal is an answer to credentials: 403 only of what sends them (POST), for elsewhere it says what one may do, not who
-- one is. What it cannot tell: a machine whose wrong password is put right looks the same; guesses spread over many
-- addresses, or slower than min_refused in a quarter of an hour, are not told.
WITH tries AS
(
  SELECT client_cluster, client_ns, client_name AS client, client_ip, server_cluster, server_ns, server_name AS server, protocol, endpoint,
    (protocol IN ('http1', 'http2') AND (status_code = 401 OR (status_code = 403 AND method = 'POST')))
      OR (protocol = 'grpc' AND status_code = 16)
      OR error IN ('28P01', '28000', 'WRONGPASS', 'NOAUTH', 'ACCESS_DENIED') AS refused,
    ts, flow_id, outcome
  FROM klartext.flows
  WHERE ts >= {since:DateTime64(6, 'UTC')} AND ts < {until:DateTime64(6, 'UTC')} AND capture_side != 'client'
),
clients AS
(
  SELECT client_cluster, client_ns, client, client_ip, server_cluster, server_ns, server, protocol,
    groupUniqArrayIf(10)(endpoint, refused) AS endpoints,
    arraySort(groupArrayIf(100000)((ts, refused, endpoint, flow_id), refused OR outcome = 'ok')) AS answers
  FROM tries
  GROUP BY client_cluster, client_ns, client, client_ip, server_cluster, server_ns, server, protocol
  HAVING countIf(refused) >= {min_refused:UInt32}
),
let_in AS
(
  SELECT client_cluster, client_ns, client, client_ip, server_cluster, server_ns, server, protocol,
    arrayJoin(arrayReverseSplit(x -> NOT x.2, arrayFilter(x -> has(endpoints, x.3), answers))) AS run,
    length(run) - 1 AS refusals, run[1].1 AS first_refused, run[-1] AS success
  FROM clients
  WHERE refusals >= {min_refused:UInt32} AND NOT success.2
)
SELECT
  concat(client_ip, ' -> ', server_cluster, '/', server_ns, '/', server) AS subject,
  max(refusals) / {min_refused:UInt32} AS score,
  concat(any(client), ' (', client_ip, ') was refused by ', server, ' ', toString(max(refusals)), ' times since ', toString(min(first_refused)), ' and then let in') AS summary,
  argMax(arrayPushBack(arrayMap(x -> x.4, arraySlice(run, 1, 4)), success.4), refusals) AS evidence,
  map('refusals', toString(max(refusals)), 'endpoint', argMax(success.3, refusals)) AS attrs
FROM let_in
GROUP BY client_ip, server_cluster, server_ns, server
