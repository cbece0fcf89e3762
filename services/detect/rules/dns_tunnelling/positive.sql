-- A few hundred names of 40 hexadecimal digits under one domain.
INSERT INTO klartext.flows (ts, conn_id, exchange_seq, capture_side, client_ns, client_workload, client_ip, server_ns, server_workload, server_ip, protocol, method, endpoint, resource, status_code, outcome, latency_us)
SELECT {until:DateTime64(6, 'UTC')} - toIntervalMillisecond(number * 3000 + 1), cityHash64('report', 'dns', number), 0, 'client', 'shop', 'report', '10.0.0.1', 'shop', 'dns', '10.0.0.2', 'dns', 'TXT', 'tunnel.example', concat(substring(lower(hex(SHA1(toString(number)))), 1, 40), '.tunnel.example'), 0, 'ok', 2000
FROM numbers(400)
