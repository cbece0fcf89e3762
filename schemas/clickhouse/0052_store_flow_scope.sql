-- The decoder says how far a call went, since it knows regions and which addresses are public; subscribers of klartext.flows
-- have it too. What was stored before keeps what was computed then.
ALTER TABLE klartext.flows
  MODIFY COLUMN scope LowCardinality(String) DEFAULT multiIf(
    client_kind = 'external' OR server_kind = 'external', 'internet',
    client_cluster != '' AND server_cluster != '' AND client_cluster != server_cluster, 'other_cluster',
    client_node != '' AND client_node = server_node, 'same_node',
    client_zone != '' AND client_zone = server_zone, 'same_zone',
    client_zone != '' AND server_zone != '', 'cross_zone',
    client_ip != '' AND client_ip = server_ip, 'same_node',
    server_kind = 'unknown' AND server_ip != '' AND NOT match(server_ip, '^(10\\.|127\\.|192\\.168\\.|172\\.(1[6-9]|2[0-9]|3[01])\\.|169\\.254\\.|100\\.(6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])\\.|f[cd][0-9a-f]{2}:|fe[89ab][0-9a-f]:|::1$)'), 'internet',
    client_kind = 'unknown' AND client_ip != '' AND NOT match(client_ip, '^(10\\.|127\\.|192\\.168\\.|172\\.(1[6-9]|2[0-9]|3[01])\\.|169\\.254\\.|100\\.(6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])\\.|f[cd][0-9a-f]{2}:|fe[89ab][0-9a-f]:|::1$)'), 'internet',
    'unknown')
  COMMENT 'same_node, same_zone, cross_zone, cross_region, other_cluster, internet, unknown: how far the call went' AFTER server_region
