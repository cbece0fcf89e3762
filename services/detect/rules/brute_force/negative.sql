-- One who never gets in, and one who mistypes three times.
INSERT INTO klartext.flows (ts, conn_id, exchange_seq, capture_side, client_ns, client_workload, client_ip, server_ns, server_workload, server_ip, protocol, method, endpoint, resource, status_code, outcome, latency_us)
SELECT {until:DateTime64(6, 'UTC')} - toIntervalMillisecond(number * 2000 + 1000), cityHash64('bot', 'login', number), 0, 'server', 'shop', 'bot', '10.9.0.2', 'shop', 'login', '10.0.0.2', 'http1', 'POST', '/login', '/login', 401, if(401 = 200, 'ok', 'client_error'), 2000
FROM numbers(200)
UNION ALL
SELECT {until:DateTime64(6, 'UTC')} - toIntervalMillisecond(number * 9000 + 1000), cityHash64('person', 'login', number), 0, 'server', 'shop', 'person', '10.9.0.3', 'shop', 'login', '10.0.0.2', 'http1', 'POST', '/login', '/login', if(number = 0, 200, 401), if(if(number = 0, 200, 401) = 200, 'ok', 'client_error'), 2000
FROM numbers(4)
