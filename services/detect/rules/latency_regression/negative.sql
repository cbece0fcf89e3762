-- profile is as slow as ever; quick doubled, but by a millisecond; seldom is slow too seldom to tell.
INSERT INTO klartext.flows (ts, conn_id, exchange_seq, capture_side, client_ns, client_workload, client_ip, server_ns, server_workload, server_ip, protocol, method, endpoint, resource, status_code, outcome, latency_us)
SELECT {until:DateTime64(6, 'UTC')} - toIntervalMillisecond(number * 5000 + 1), cityHash64('front', 'profile', number), 0, 'server', 'shop', 'front', '10.0.0.1', 'shop', 'profile', '10.0.0.2', 'http1', 'GET', '/work', '/work', 200, 'ok', 30000 + number % 7 * 100
FROM numbers(2000)
UNION ALL
SELECT {until:DateTime64(6, 'UTC')} - toIntervalMillisecond(number * 5000 + 1), cityHash64('front', 'quick', number), 0, 'server', 'shop', 'front', '10.0.0.1', 'shop', 'quick', '10.0.0.2', 'http1', 'GET', '/work', '/work', 200, 'ok', if(number < 120, 2000, 1000)
FROM numbers(2000)
UNION ALL
SELECT {until:DateTime64(6, 'UTC')} - toIntervalMillisecond(number * 60000 + 1), cityHash64('front', 'seldom', number), 0, 'server', 'shop', 'front', '10.0.0.1', 'shop', 'seldom', '10.0.0.2', 'http1', 'GET', '/work', '/work', 200, 'ok', if(number < 10, 90000, 5000)
FROM numbers(170)
