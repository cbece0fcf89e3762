-- What to call the server where names are shown or grouped by: its workload, or what is left of that outside Kubernetes.
ALTER TABLE klartext.flows
  ADD COLUMN IF NOT EXISTS server_name LowCardinality(String) ALIAS multiIf(
    server_workload != '', server_workload,
    server_ip = '', 'unknown',
    match(server_ip, '^(10\\.|127\\.|192\\.168\\.|172\\.(1[6-9]|2[0-9]|3[01])\\.|169\\.254\\.|100\\.(6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])\\.|f[cd][0-9a-f]{2}:|fe[89ab][0-9a-f]:|::1$)'), server_ip,
    'internet')
  COMMENT 'server_workload; where that is empty the address if it is private, else internet; unknown without an address'
