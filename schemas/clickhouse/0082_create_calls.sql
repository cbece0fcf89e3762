-- Every call once, with what is known of it: seen is both, client or server for the ends at which it was captured, unknown
-- for bytes seen between them. Sums of sizes and counts over it have each call once. What one end cannot know is NULL.
--
-- The latency at the client is the whole (total_us). What the server's end saw of it is not the network's; of that, the time
-- from the last byte of the request to the first of the answer is the server's own, and the rest is the client's: bytes on
-- their way in and out, as fast as they are sent and taken. Where an answer comes in pieces that is whoever was slow, which
-- two ends alone cannot tell. None of the three depends on the clocks agreeing; the two ways of the network apart do:
-- network_request_us is right to clock_error_us.
CREATE OR REPLACE VIEW klartext.calls AS
WITH ifNull(p.end_is, '') AS flow_is
SELECT
  f.ts AS ts,
  if(flow_is = 'client', 'both', f.capture_side) AS seen,
  flow_is = 'client' AND f.latency_us > 0 AND s.latency_us > 0 AS timed,
  f.client_cluster AS client_cluster, f.client_ns AS client_ns, f.client_name AS client_workload, f.client_pod AS client_pod,
  if(seen = 'both', s.server_cluster, f.server_cluster) AS server_cluster, if(seen = 'both', s.server_ns, f.server_ns) AS server_ns,
  if(seen = 'both', s.server_name, f.server_name) AS server_workload, if(seen = 'both', s.server_pod, f.server_pod) AS server_pod,
  if(seen = 'both' AND f.server_kind != 'service', s.server_service, f.server_service) AS server_service,
  if(f.capture_side = 'client', f.comm, '') AS client_comm,
  multiIf(seen = 'both', s.comm, f.capture_side = 'server', f.comm, '') AS server_comm,
  if(seen = 'both' AND s.scope != 'unknown', s.scope, f.scope) AS scope,
  f.protocol AS protocol, f.method AS method, f.endpoint AS endpoint, f.resource AS resource,
  f.status_code AS status_code, f.outcome AS outcome,
  if(seen = 'both', greatest(f.req_bytes, s.req_bytes), f.req_bytes) AS req_bytes,
  if(seen = 'both', greatest(f.resp_bytes, s.resp_bytes), f.resp_bytes) AS resp_bytes,
  if(f.capture_side = 'client' AND f.latency_us > 0, f.latency_us, NULL) AS total_us,
  if(timed, toUInt64(f.latency_us - least(f.latency_us, s.latency_us)), NULL) AS network_us,
  multiIf(timed, least(f.latency_us, s.latency_us, s.ttfb_us),
    f.capture_side = 'server' AND f.latency_us > 0, least(f.latency_us, f.ttfb_us), NULL) AS server_us,
  if(timed, toUInt64(assumeNotNull(total_us) - assumeNotNull(network_us) - assumeNotNull(server_us)), NULL) AS client_us,
  if(timed, p.clock_offset_us, NULL) AS clock_offset_us,
  if(timed, p.clock_error_us, NULL) AS clock_error_us,
  if(timed, least(assumeNotNull(network_us), toUInt64(greatest(0, p.most_us - p.clock_offset_us))), NULL) AS network_request_us,
  if(timed, toUInt64(assumeNotNull(network_us) - assumeNotNull(network_request_us)), NULL) AS network_response_us,
  if(f.capture_side = 'client', f.flow_id, NULL) AS client_flow_id,
  multiIf(seen = 'both', s.flow_id, f.capture_side = 'server', f.flow_id, NULL) AS server_flow_id,
  f.trace_id AS trace_id
FROM
(
  SELECT *, flow_id, client_name, server_name
  FROM klartext.flows
  WHERE ts >= {since:DateTime64(6, 'UTC')} AND ts < {until:DateTime64(6, 'UTC')}
) AS f
LEFT JOIN
(
  SELECT
    arrayJoin([('client', client_conn_id, client_seq), ('server', server_conn_id, server_seq)]) AS end,
    end.1 AS end_is, end.2 AS conn_id, end.3 AS exchange_seq,
    server_conn_id, server_seq, most_us, clock_offset_us, clock_error_us
  FROM klartext.call_pairs(since = {since:DateTime64(6, 'UTC')}, until = {until:DateTime64(6, 'UTC')})
) AS p
ON f.conn_id = p.conn_id AND f.exchange_seq = p.exchange_seq
LEFT JOIN
(
  SELECT conn_id, exchange_seq, latency_us, ttfb_us, server_cluster, server_ns, server_name, server_pod, server_service, comm,
    scope, req_bytes, resp_bytes, flow_id
  FROM klartext.flows
  WHERE ts >= {since:DateTime64(6, 'UTC')} - INTERVAL 1 MINUTE AND ts < {until:DateTime64(6, 'UTC')} + INTERVAL 1 MINUTE
    AND capture_side = 'server'
) AS s
ON p.server_conn_id = s.conn_id AND p.server_seq = s.exchange_seq
WHERE flow_is != 'server'
