-- debug and ledger are known for days; now one calls the other.
INSERT INTO klartext.flows (ts, conn_id, exchange_seq, capture_side, client_ns, client_workload, client_ip, server_ns, server_workload, server_ip, protocol, method, endpoint, resource, status_code, outcome, latency_us)
SELECT {until:DateTime64(6, 'UTC')} - INTERVAL 3 DAY - toIntervalSecond(number), cityHash64('debug', 'tools', number), 0, 'server', 'shop', 'debug', '10.0.0.1', 'shop', 'tools', '10.0.0.2', 'http1', 'GET', '/work', '/work', 200, 'ok', 2000
FROM numbers(10)
UNION ALL
SELECT {until:DateTime64(6, 'UTC')} - INTERVAL 3 DAY - toIntervalSecond(number), cityHash64('payments', 'ledger', number), 0, 'server', 'shop', 'payments', '10.0.0.1', 'shop', 'ledger', '10.0.0.2', 'postgresql', 'GET', '/work', '/work', 200, 'ok', 2000
FROM numbers(10)
UNION ALL
SELECT {until:DateTime64(6, 'UTC')} - INTERVAL 20 SECOND, cityHash64('debug', 'ledger', number), 0, 'server', 'shop', 'debug', '10.0.0.1', 'shop', 'ledger', '10.0.0.2', 'postgresql', 'GET', '/work', '/work', 200, 'ok', 2000
FROM numbers(1)
