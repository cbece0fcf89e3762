-- Half of what orders is asked in the last minute fails, and nothing before.
INSERT INTO klartext.flows (ts, conn_id, exchange_seq, capture_side, client_ns, client_workload, client_ip, server_ns, server_workload, server_ip, protocol, method, endpoint, resource, status_code, outcome, latency_us)
SELECT {until:DateTime64(6, 'UTC')} - toIntervalMillisecond(number * 1000 + 1), cityHash64('front', 'orders', number), 0, 'server', 'shop', 'front', '10.0.0.1', 'shop', 'orders', '10.0.0.2', 'http1', 'GET', '/work', '/work', if(number < 60 AND number % 2 = 0, 503, 200), if(number < 60 AND number % 2 = 0, 'server_error', 'ok'), 2000
FROM numbers(1800)
