-- Clusters are told apart; a look-up that both ends saw is one. With search domains (ndots:5 in every pod) each name of the outside is
-- first tried below the cluster's: what the same client then resolved without the suffix has not failed.
CREATE OR REPLACE VIEW klartext.ask_dns_failures AS
WITH resolved AS
(
  SELECT client_cluster, client_ip, lower(resource) AS found
  FROM klartext.flows
  WHERE ts >= {since:DateTime64(6, 'UTC')} AND ts < {until:DateTime64(6, 'UTC')} + INTERVAL 10 SECOND AND protocol = 'dns' AND outcome = 'ok'
  GROUP BY client_cluster, client_ip, found
)
SELECT
  client_cluster, client_ns, client_name AS client_workload, resource AS name, method AS type, status_code AS rcode,
  if(outcome IN ('timeout', 'no_response'), 'unanswered', error) AS why,
  count() AS failures, round(quantile(0.95)(latency_us) / 1000, 2) AS p95_ms, max(ts) AS last
FROM klartext.flows
WHERE ts >= {since:DateTime64(6, 'UTC')} AND ts < {until:DateTime64(6, 'UTC')} AND protocol = 'dns' AND outcome != 'ok' AND outcome != 'unknown'
  AND (capture_side != 'client' OR (client_ip, client_port, server_ip, server_port) NOT IN
    (SELECT client_ip, client_port, server_ip, server_port FROM klartext.flows
      WHERE ts >= {since:DateTime64(6, 'UTC')} AND ts < {until:DateTime64(6, 'UTC')} AND protocol = 'dns' AND capture_side = 'server'))
  AND NOT (status_code = 3 AND
    (
      (client_cluster, client_ip, replaceRegexpOne(lower(resource), '\\.[a-z0-9-]+\\.svc\\.cluster\\.local$', '')) IN resolved
      OR (client_cluster, client_ip, replaceRegexpOne(lower(resource), '\\.svc\\.cluster\\.local$', '')) IN resolved
      OR (client_cluster, client_ip, replaceRegexpOne(lower(resource), '\\.cluster\\.local$', '')) IN resolved
      OR (client_cluster, client_ip, replaceRegexpOne(lower(resource), '\\.[a-z0-9-]+\\.compute\\.internal$', '')) IN resolved
    ))
GROUP BY client_cluster, client_ns, client_workload, name, type, rcode, why
ORDER BY failures DESC
COMMENT 'Which names do not resolve, and for whom: failed or unanswered look-ups per name and asker, most first; without those below search domains that the same client then resolved'
