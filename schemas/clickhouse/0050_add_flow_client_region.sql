-- Names of zones say their region in most clouds, not in all.
ALTER TABLE klartext.flows
  ADD COLUMN IF NOT EXISTS client_region LowCardinality(String) COMMENT 'topology.kubernetes.io/region of the client''s node'
