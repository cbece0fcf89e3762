-- A socket that is bound to no address and connected to nobody has 0.0.0.0 or ::, which is no place in the internet.
ALTER TABLE klartext.flows
  MODIFY COLUMN server_name LowCardinality(String) ALIAS multiIf(
    server_workload != '', server_workload,
    server_ip IN ('', '0.0.0.0', '::'), 'unknown',
    match(server_ip, '^(10\\.|127\\.|192\\.168\\.|172\\.(1[6-9]|2[0-9]|3[01])\\.|169\\.254\\.|100\\.(6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])\\.|f[cd][0-9a-f]{2}:|fe[89ab][0-9a-f]:|::1$)'), server_ip,
    'internet')
  COMMENT 'server_workload; where that is empty the address if it is private, else internet; unknown without an address'
