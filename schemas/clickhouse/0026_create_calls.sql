-- A call that both ends captured, as one row. Both ends count the exchanges of a connection from its first, so that ends,
-- ports and number name the same call; what it asked for and how it ended must agree as well, or the pair is none. A
-- connection that one end joined later counts differently there: its calls stay apart, they are never paired by guess.
--
-- The latency at the client is the whole. What the server's end saw of it is not the network's; of that, the time from the
-- last byte of the request to the first of the answer is the server's own, and the rest (bytes on their way in and out, as
-- fast as the client sends and takes them) is the client's. None depends on the clocks agreeing. clock_offset_us is how far
-- the server's clock is ahead, taken from the middles of all calls of the two nodes; only the two ways apart need it.
CREATE OR REPLACE VIEW klartext.calls AS
SELECT
  c.ts AS ts,
  c.client_cluster AS client_cluster, c.client_ns AS client_ns, c.client_name AS client_workload, c.client_pod AS client_pod,
  c.server_cluster AS server_cluster, c.server_ns AS server_ns, c.server_name AS server_workload, c.server_pod AS server_pod,
  c.comm AS client_comm, s.comm AS server_comm,
  c.scope AS scope, c.protocol AS protocol, c.method AS method, c.endpoint AS endpoint, c.resource AS resource,
  c.status_code AS status_code, c.outcome AS outcome, c.req_bytes AS req_bytes, c.resp_bytes AS resp_bytes,
  c.latency_us AS total_us,
  c.latency_us - least(s.latency_us, c.latency_us) AS network_us,
  least(s.ttfb_us, s.latency_us, c.latency_us) AS server_us,
  total_us - network_us - server_us AS client_us,
  toInt64(median((toUnixTimestamp64Micro(s.ts) + intDiv(s.latency_us, 2)) - (toUnixTimestamp64Micro(c.ts) + intDiv(c.latency_us, 2)))
    OVER (PARTITION BY c.node, s.node)) AS clock_offset_us,
  least(network_us, toUInt64(greatest(0, toUnixTimestamp64Micro(s.ts) - toUnixTimestamp64Micro(c.ts) - clock_offset_us))) AS network_request_us,
  c.flow_id AS client_flow_id, s.flow_id AS server_flow_id, c.trace_id AS trace_id
FROM klartext.flows AS c
INNER JOIN klartext.flows AS s
ON c.client_ip = s.client_ip AND c.client_port = s.client_port AND c.server_ip = s.server_ip AND c.server_port = s.server_port
  AND c.exchange_seq = s.exchange_seq AND c.protocol = s.protocol
WHERE c.capture_side = 'client' AND s.capture_side = 'server' AND c.client_port != 0
  AND c.method = s.method AND c.resource = s.resource AND c.status_code = s.status_code
  AND abs(toUnixTimestamp64Micro(s.ts) - toUnixTimestamp64Micro(c.ts)) < 60000000
  AND c.latency_us > 0 AND s.latency_us > 0
