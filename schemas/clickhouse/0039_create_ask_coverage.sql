CREATE OR REPLACE VIEW klartext.ask_coverage AS
SELECT 'capture' AS stage, cluster, node, kind, subject, argMax(c.state, c.ts) AS state, reason, argMax(c.detail, c.ts) AS detail,
  sum(c.bytes) AS bytes, sum(c.count) AS times
FROM klartext.coverage AS c
WHERE ts >= {since:DateTime64(6, 'UTC')} AND ts < {until:DateTime64(6, 'UTC')} AND (reason != '' OR c.state IN ('not_hooked', 'not_covered', 'partly'))
GROUP BY cluster, node, kind, subject, reason
UNION ALL
SELECT 'decode' AS stage, cluster, node, 'connection' AS kind, concat(server_ip, ':', toString(server_port)) AS subject,
  'not_decoded' AS state, undecoded_reason AS reason, '' AS detail,
  sum(bytes_to_server + bytes_to_client) AS bytes, count() AS times
FROM klartext.connections
WHERE ts >= {since:DateTime64(6, 'UTC')} AND ts < {until:DateTime64(6, 'UTC')} AND undecoded_reason != ''
GROUP BY cluster, node, subject, reason
ORDER BY bytes DESC, times DESC
COMMENT 'What was not seen, and why: what was lost, left out, not hooked or not decoded, most bytes first'
