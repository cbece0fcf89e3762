-- Beaconing: a workload calls something outside at even intervals and with even sizes, as implants do that ask for orders.
-- severity: high
-- every: 10m
-- looks back: 6h
-- suppress: 24h
-- attack: T1071
-- param min_calls UInt32 24: calls below which an interval says nothing
-- param min_interval_s Float64 10: shorter ones are polling
-- param min_score Float64 0.9: of 1, mean of evenness in time and in size (RITA's measures: MAD and Bowley skewness)
-- param min_even_size Float64 0.9: of 1, evenness in size alone; what reports how things are has more and less to say
-- param max_clients UInt32 4: workloads that call the same host, above which it is a service that all use
--
-- What it cannot tell: a workload that alone asks one host outside at even intervals with even sizes for a good reason (a
-- licence or a health check) looks the same. Beacons that wait longer than 15 minutes, are spread by more than a tenth of
-- their interval, hide among other calls to the same host, or run in more workloads than max_clients are not told.
WITH
calls AS
(
  SELECT client_cluster, client_ns, client_name AS client, if(host != '', host, server_ip) AS target,
    arraySort(groupArray(86400)(toUnixTimestamp64Micro(ts) / 1e6)) AS times,
    groupArray(86400)(req_bytes) AS sizes,
    groupArray(5)(flow_id) AS evidence
  FROM klartext.flows
  WHERE ts >= {since:DateTime64(6, 'UTC')} AND ts < {until:DateTime64(6, 'UTC')} AND scope = 'internet' AND capture_side != 'server'
  GROUP BY client_cluster, client_ns, client, target
  HAVING length(times) >= {min_calls:UInt32}
),
shared AS
(
  SELECT client_cluster, if(host != '', host, server_ip) AS target
  FROM klartext.flows
  WHERE ts >= {since:DateTime64(6, 'UTC')} AND ts < {until:DateTime64(6, 'UTC')} AND scope = 'internet' AND capture_side != 'server'
  GROUP BY client_cluster, target
  HAVING uniqExact((client_ns, client_name)) > {max_clients:UInt32}
),
intervals AS
(
  SELECT *, arrayFilter(x -> x > 0, arrayPopFront(arrayDifference(times))) AS gaps,
    arrayReduce('quantilesExact(0.25, 0.5, 0.75)', gaps) AS q,
    arrayReduce('medianExact', arrayMap(x -> abs(x - q[2]), gaps)) AS mad,
    arrayReduce('medianExact', sizes) AS size, arrayReduce('medianExact', arrayMap(x -> abs(toFloat64(x) - size), sizes)) AS size_mad
  FROM calls
  WHERE (client_cluster, target) NOT IN shared
),
scored AS
(
  SELECT *,
    greatest(0, 1 - mad / q[2]) AS even,
    1 - abs(if(q[3] = q[1], 0, (q[3] + q[1] - 2 * q[2]) / (q[3] - q[1]))) * least(1, (q[3] - q[1]) / q[2]) AS balanced,
    greatest(0, 1 - size_mad / greatest(size, 1)) AS even_size
  FROM intervals
  WHERE length(gaps) >= {min_calls:UInt32} - 1 AND q[2] >= {min_interval_s:Float64}
)
SELECT
  concat(client_cluster, '/', client_ns, '/', client, ' -> ', target) AS subject,
  (even + balanced + even_size) / 3 AS score,
  concat(client, ' calls ', target, ' every ', toString(round(q[2])), ' s, ', toString(length(times)), ' times in a row') AS summary,
  evidence,
  map('interval_s', toString(round(q[2], 1)), 'calls', toString(length(times))) AS attrs
FROM scored
WHERE score >= {min_score:Float64} AND even_size >= {min_even_size:Float64}
