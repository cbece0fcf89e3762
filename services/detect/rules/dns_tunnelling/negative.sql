-- Many short names of a content network; one long name again and again.
INSERT INTO klartext.flows (ts, conn_id, exchange_seq, capture_side, client_ns, client_workload, client_ip, server_ns, server_workload, server_ip, protocol, method, endpoint, resource, status_code, outcome, latency_us)
SELECT {until:DateTime64(6, 'UTC')} - toIntervalMillisecond(number * 3000 + 1), cityHash64('front', 'dns', number), 0, 'client', 'shop', 'front', '10.0.0.1', 'shop', 'dns', '10.0.0.2', 'dns', 'TXT', 'cdn.example', concat(concat('edge', toString(number), '.eu'), '.cdn.example'), 0, 'ok', 2000
FROM numbers(400)
UNION ALL
SELECT {until:DateTime64(6, 'UTC')} - toIntervalMillisecond(number * 3000 + 1), cityHash64('front', 'dns', number), 0, 'client', 'shop', 'front', '10.0.0.1', 'shop', 'dns', '10.0.0.2', 'dns', 'TXT', 'long.example', concat('a-rather-long-name-of-a-load-balancer-in-some-cloud-eu-west-1', '.long.example'), 0, 'ok', 2000
FROM numbers(400)
