-- search fails now and then as it always does; login is refused more often, which is no failure of its own; rare asks too little.
INSERT INTO klartext.flows (ts, conn_id, exchange_seq, capture_side, client_ns, client_workload, client_ip, server_ns, server_workload, server_ip, protocol, method, endpoint, resource, status_code, outcome, latency_us)
SELECT {until:DateTime64(6, 'UTC')} - toIntervalMillisecond(number * 1000 + 1), cityHash64('front', 'search', number), 0, 'server', 'shop', 'front', '10.0.0.1', 'shop', 'search', '10.0.0.2', 'http1', 'GET', '/work', '/work', 200, if(number % 10 = 0, 'server_error', 'ok'), 2000
FROM numbers(1800)
UNION ALL
SELECT {until:DateTime64(6, 'UTC')} - toIntervalMillisecond(number * 1000 + 1), cityHash64('front', 'login', number), 0, 'server', 'shop', 'front', '10.0.0.1', 'shop', 'login', '10.0.0.2', 'http1', 'GET', '/work', '/work', 200, if(number < 60, 'client_error', 'ok'), 2000
FROM numbers(1800)
UNION ALL
SELECT {until:DateTime64(6, 'UTC')} - toIntervalMillisecond(number * 10000 + 1), cityHash64('front', 'rare', number), 0, 'server', 'shop', 'front', '10.0.0.1', 'shop', 'rare', '10.0.0.2', 'http1', 'GET', '/work', '/work', 200, if(number < 3, 'server_error', 'ok'), 2000
FROM numbers(180)
