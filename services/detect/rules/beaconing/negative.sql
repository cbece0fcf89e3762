-- People browse at any time; a shop is polled each second; two calls an hour say nothing.
INSERT INTO klartext.flows (ts, conn_id, exchange_seq, capture_side, client_ns, client_workload, client_ip, server_ns, server_workload, server_ip, server_kind, host, protocol, outcome, req_bytes)
SELECT {until:DateTime64(6, 'UTC')} - toIntervalMillisecond(cityHash64(number, 7) % 21000000), cityHash64('front', 'news.example', number), 0, 'client', 'shop', 'front', '10.0.0.7', '', '', '203.0.113.77', 'external', 'news.example', 'http1', 'ok', 200 + cityHash64(number, 3) % 3000
FROM numbers(300)
UNION ALL
SELECT {until:DateTime64(6, 'UTC')} - toIntervalMillisecond(number * 1000), cityHash64('sync', 'queue.example', number), 0, 'client', 'shop', 'sync', '10.0.0.7', '', '', '203.0.113.77', 'external', 'queue.example', 'http1', 'ok', 100
FROM numbers(3000)
UNION ALL
SELECT {until:DateTime64(6, 'UTC')} - toIntervalMillisecond(number * 1800000), cityHash64('mail', 'smtp.example', number), 0, 'client', 'shop', 'mail', '10.0.0.7', '', '', '203.0.113.77', 'external', 'smtp.example', 'http1', 'ok', 500
FROM numbers(12)
