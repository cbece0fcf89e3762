-- cart takes 30 ms since ten minutes, 5 ms before.
INSERT INTO klartext.flows (ts, conn_id, exchange_seq, capture_side, client_ns, client_workload, client_ip, server_ns, server_workload, server_ip, protocol, method, endpoint, resource, status_code, outcome, latency_us)
SELECT {until:DateTime64(6, 'UTC')} - toIntervalMillisecond(number * 5000 + 1), cityHash64('front', 'cart', number), 0, 'server', 'shop', 'front', '10.0.0.1', 'shop', 'cart', '10.0.0.2', 'http1', 'GET', '/work', '/work', 200, 'ok', if(number < 120, 30000, 5000) + number % 7 * 100
FROM numbers(2000)
