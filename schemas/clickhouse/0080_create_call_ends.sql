-- The flows of one end (`side`: client or server) with what numbers them among the calls of their connection, the same at both
-- ends: a stream's id in HTTP/2, the id of a DNS message, the span that the client's tracing sent along; otherwise how many
-- exchanges came before it. That is off from then on where an end joined the connection late or lost an exchange. So a
-- connection that did not begin within these five minutes is counted from its longest silence in them, which was as long at
-- the other end, if it was longer than the next by more than a network varies.
--
-- client_key is what both ends know of where the client is. Of a datagram socket that is connected to nobody its own end knows
-- the port only, so for DNS over UDP nothing else counts: ports and message ids leave few candidates.
CREATE OR REPLACE VIEW klartext.call_ends AS
WITH toStartOfInterval(ts, INTERVAL 5 MINUTE) AS span, 5000 AS varies_us
SELECT
  *, cityHash64(cluster, node) AS place,
  if(protocol = 'dns' AND transport = 'udp', '', client_ip) AS client_key,
  groupArraySorted(2)(-silence_us) OVER life AS longest,
  multiIf(
    id != '', id,
    min(exchange_seq) OVER life > 0 AND (length(longest) = 1 OR longest[2] - longest[1] > varies_us),
      concat('from silence ', toString(toInt64(exchange_seq) - toInt64(argMax(exchange_seq, silence_us) OVER life))),
    concat('exchange ', toString(exchange_seq))) AS number
FROM
(
  SELECT
    conn_id, exchange_seq, ts, latency_us, status_code, complete, req_bytes, resp_bytes, client_ip, client_port, server_ip,
    server_port, transport, protocol, method, resource, cluster, node, client_cluster, client_ns, client_pod, server_cluster, server_ns,
    server_pod, server_service, server_workload, server_kind,
    multiIf(
      attrs['http2.stream_id'] != '', concat('stream ', attrs['http2.stream_id']),
      attrs['dns.id'] != '', concat('message ', attrs['dns.id'], ' ', attrs['dns.retry']),
      span_id != '', concat('span ', trace_id, span_id),
      '') AS id,
    toUnixTimestamp64Micro(ts) - lagInFrame(toUnixTimestamp64Micro(ts), 1, toUnixTimestamp64Micro(ts))
      OVER (PARTITION BY conn_id, toStartOfInterval(ts, INTERVAL 5 MINUTE) ORDER BY exchange_seq ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS silence_us
  FROM klartext.flows
  WHERE ts >= {since:DateTime64(6, 'UTC')} - INTERVAL 1 MINUTE AND ts < {until:DateTime64(6, 'UTC')} + INTERVAL 1 MINUTE
    AND capture_side = {side:String} AND client_port != 0
)
WINDOW life AS (PARTITION BY conn_id, span)
