CREATE OR REPLACE VIEW klartext.ask_dns_failures AS
SELECT
  client_ns, client_name AS client_workload, resource AS name, method AS type, status_code AS rcode,
  if(outcome IN ('timeout', 'no_response'), 'unanswered', error) AS why,
  count() AS failures, round(quantile(0.95)(latency_us) / 1000, 2) AS p95_ms, max(ts) AS last
FROM klartext.flows
WHERE ts >= {since:DateTime64(6, 'UTC')} AND ts < {until:DateTime64(6, 'UTC')} AND protocol = 'dns' AND outcome != 'ok' AND outcome != 'unknown'
GROUP BY client_ns, client_workload, name, type, rcode, why
ORDER BY failures DESC
COMMENT 'Which names do not resolve, and for whom: failed or unanswered look-ups per name and asker, most first'
