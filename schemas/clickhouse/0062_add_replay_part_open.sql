-- What began in the window and had not ended where reading ended: its flows are not there.
ALTER TABLE klartext.replay_parts
  ADD COLUMN IF NOT EXISTS open UInt64 COMMENT 'connections that were open where reading ended' AFTER joined
