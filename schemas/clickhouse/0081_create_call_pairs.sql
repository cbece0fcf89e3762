-- Which flow of a client's end and which of a server's end are one call. Each flow is in one pair at most; what is in none was
-- seen at one end only, or cannot be told.
--
-- Both ends know the client's port and address (or its pod, where its socket has no address: call_ends), what was asked for,
-- and its number in the connection (call_ends). The server's address is the same at both ends, or the client called a service
-- that the server's pod may be behind (DNAT). What contradicts is no pair: another pod by name, another status or size,
-- loopbacks of two hosts, another cluster's same addresses.
--
-- Ports are used again, and numbers may be off. So the times must fit: what the server saw lies within what the client saw,
-- once the clocks are set right. guess_us is how far the server's clock is ahead: what most flows with one candidate say within
-- five minutes and those before and behind (wrong pairs say all sorts of things). Unless `enough` connections agree, one that
-- polls at a steady pace could have its pairs shifted and blame the clocks: they must then differ by usual_us at most. Where two
-- nodes have no such flow, nothing can be told. Clocks may wander from guess_us by wander_us. The nearest of several candidates
-- is the one. A message without an answer arrives within arrival_us; a request that its client gave up may lie in the server's
-- queue as long as flows are compared.
--
-- A request arrives after it was sent and an answer as well: each pair says that the offset is at least least_us and at most
-- most_us. All pairs of two nodes within five minutes, of both directions, narrow it down; the middle of what is left is wrong
-- by clock_error_us at most. Flows of one node have one clock.
CREATE OR REPLACE VIEW klartext.call_pairs AS
WITH 60000000 AS apart_us, 1000000 AS arrival_us, 100000 AS wander_us, 5000 AS step_us, 100000 AS usual_us, 3 AS enough
SELECT
  client_conn_id, client_seq, server_conn_id, server_seq, most_us,
  if(client_place < server_place, 1, -1) AS turn,
  maxIf(if(turn = 1, least_us, -most_us), timed) OVER clocks AS offset_min_us,
  minIf(if(turn = 1, most_us, -least_us), timed) OVER clocks AS offset_max_us,
  if(client_place = server_place, 0, turn * intDiv(offset_min_us + offset_max_us, 2)) AS clock_offset_us,
  if(client_place = server_place, 0, toUInt64(greatest(0, intDiv(offset_max_us - offset_min_us + 1, 2)))) AS clock_error_us
FROM
(
  SELECT
    server_conn_id, server_seq,
    argMin((c_conn_id, c_seq, c_place, s_place, c_span, nearest_most_us, nearest_least_us, nearest_timed), away_us) AS best,
    best.1 AS client_conn_id, best.2 AS client_seq, best.3 AS client_place, best.4 AS server_place, best.5 AS span,
    best.6 AS most_us, best.7 AS least_us, best.8 AS timed
  FROM
  (
    SELECT
      c_conn_id, c_seq,
      argMin((s_conn_id, s_seq, place_of_c, place_of_s, span_of_c, up_us, down_us, both_timed), distance_us) AS nearest,
      nearest.1 AS server_conn_id, nearest.2 AS server_seq, nearest.3 AS c_place, nearest.4 AS s_place, nearest.5 AS c_span,
      nearest.6 AS nearest_most_us, nearest.7 AS nearest_least_us, nearest.8 AS nearest_timed,
      min(distance_us) AS away_us
    FROM
    (
      SELECT *,
        if(place_of_c = place_of_s, 0, step_us * top_step) AS guess_us,
        uniqExactIf(c_conn_id, alone AND abs(step - top_step) <= 1) OVER way AS agreeing,
        place_of_c = place_of_s OR agreeing >= enough OR agreeing > 0 AND abs(guess_us) <= usual_us AS guessed,
        abs(middle_us - guess_us) AS distance_us
      FROM
      (
        SELECT *, (topKIf(1)(step, alone) OVER way)[1] AS top_step
        FROM
        (
          SELECT *, intDiv(middle_us, step_us) AS step,
            min((s_conn_id, s_seq)) OVER of_c = max((s_conn_id, s_seq)) OVER of_c AS alone
          FROM
          (
            SELECT
              c.conn_id AS c_conn_id, c.exchange_seq AS c_seq, s.conn_id AS s_conn_id, s.exchange_seq AS s_seq,
              c.place AS place_of_c, s.place AS place_of_s, toStartOfInterval(c.ts, INTERVAL 5 MINUTE) AS span_of_c,
              c.latency_us > 0 AND s.latency_us > 0 AS both_timed,
              toUnixTimestamp64Micro(s.ts) - toUnixTimestamp64Micro(c.ts) AS up_us,
              multiIf(c.latency_us > 0, toInt64(c.latency_us), c.complete AND s.complete, arrival_us, apart_us) AS within_us,
              up_us + toInt64(s.latency_us) - within_us AS down_us,
              if(both_timed, intDiv(up_us + down_us, 2), up_us) AS middle_us
            FROM klartext.call_ends(since = {since:DateTime64(6, 'UTC')}, until = {until:DateTime64(6, 'UTC')}, side = 'client') AS c
            INNER JOIN klartext.call_ends(since = {since:DateTime64(6, 'UTC')}, until = {until:DateTime64(6, 'UTC')}, side = 'server') AS s
            ON c.client_key = s.client_key AND c.client_port = s.client_port AND c.protocol = s.protocol AND c.number = s.number
              AND c.method = s.method AND c.resource = s.resource
            WHERE abs(up_us) < apart_us
              AND (c.client_ip = s.client_ip
                OR c.client_ip IN ('0.0.0.0', '::') AND c.client_pod != '' AND c.client_pod = s.client_pod AND c.client_ns = s.client_ns)
              AND (c.server_ip = s.server_ip AND c.server_port = s.server_port
                OR c.server_kind = 'service' AND c.server_cluster = s.server_cluster AND c.server_ns = s.server_ns
                  AND (s.server_service = '' OR c.server_service = s.server_service)
                  AND (c.server_workload = '' OR c.server_workload = s.server_workload))
              AND (c.cluster = s.cluster OR c.client_cluster != '' AND c.client_cluster = s.client_cluster)
              AND (c.client_pod = '' OR s.client_pod = '' OR c.client_pod = s.client_pod AND c.client_ns = s.client_ns)
              AND (c.server_pod = '' OR s.server_pod = '' OR c.server_pod = s.server_pod AND c.server_ns = s.server_ns)
              AND (c.place = s.place OR NOT (startsWith(c.client_ip, '127.') OR c.client_ip = '::1'))
              AND (c.status_code = s.status_code OR NOT both_timed)
              AND (c.req_bytes = s.req_bytes AND c.resp_bytes = s.resp_bytes OR c.complete = 0 OR s.complete = 0)
          )
          WINDOW of_c AS (PARTITION BY c_conn_id, c_seq)
        )
        WINDOW way AS (PARTITION BY place_of_c, place_of_s ORDER BY toUnixTimestamp(span_of_c) RANGE BETWEEN 300 PRECEDING AND 300 FOLLOWING)
      )
      WINDOW way AS (PARTITION BY place_of_c, place_of_s ORDER BY toUnixTimestamp(span_of_c) RANGE BETWEEN 300 PRECEDING AND 300 FOLLOWING)
    )
    WHERE guessed AND guess_us <= up_us + wander_us AND down_us <= guess_us + wander_us
    GROUP BY c_conn_id, c_seq
  )
  GROUP BY server_conn_id, server_seq
)
WINDOW clocks AS (PARTITION BY least(client_place, server_place), greatest(client_place, server_place), span)
