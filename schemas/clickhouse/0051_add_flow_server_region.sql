ALTER TABLE klartext.flows
  ADD COLUMN IF NOT EXISTS server_region LowCardinality(String) COMMENT 'topology.kubernetes.io/region of the server''s node'
