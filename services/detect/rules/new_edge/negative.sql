-- An edge that is as old as its ends, and one of a workload that is new itself.
INSERT INTO klartext.flows (ts, conn_id, exchange_seq, capture_side, client_ns, client_workload, client_ip, server_ns, server_workload, server_ip, protocol, method, endpoint, resource, status_code, outcome, latency_us)
SELECT {until:DateTime64(6, 'UTC')} - INTERVAL 3 DAY - toIntervalSecond(number), cityHash64('front', 'checkout', number), 0, 'server', 'shop', 'front', '10.0.0.1', 'shop', 'checkout', '10.0.0.2', 'http1', 'GET', '/work', '/work', 200, 'ok', 2000
FROM numbers(10)
UNION ALL
SELECT {until:DateTime64(6, 'UTC')} - INTERVAL 20 SECOND, cityHash64('front', 'checkout', number), 0, 'server', 'shop', 'front', '10.0.0.1', 'shop', 'checkout', '10.0.0.2', 'http1', 'GET', '/work', '/work', 200, 'ok', 2000
FROM numbers(5)
UNION ALL
SELECT {until:DateTime64(6, 'UTC')} - INTERVAL 20 SECOND, cityHash64('fresh', 'checkout', number), 0, 'server', 'shop', 'fresh', '10.0.0.1', 'shop', 'checkout', '10.0.0.2', 'http1', 'GET', '/work', '/work', 200, 'ok', 2000
FROM numbers(5)
