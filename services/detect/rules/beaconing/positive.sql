-- A call each five minutes, give or take a few seconds, always of the same size.
INSERT INTO klartext.flows (ts, conn_id, exchange_seq, capture_side, client_ns, client_workload, client_ip, server_ns, server_workload, server_ip, server_kind, host, protocol, outcome, req_bytes)
SELECT {until:DateTime64(6, 'UTC')} - toIntervalMillisecond(number * 300000 + cityHash64(number) % 9000), cityHash64('cart', 'c2.example', number), 0, 'client', 'shop', 'cart', '10.0.0.7', '', '', '203.0.113.77', 'external', 'c2.example', 'http1', 'ok', 412 + number % 3
FROM numbers(70)
