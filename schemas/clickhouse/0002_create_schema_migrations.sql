-- Which of these files ran here, and the checksum each had then. Read by `klartext migrate`, which refuses a changed file.
CREATE TABLE IF NOT EXISTS klartext.schema_migrations
(
  number UInt32 COMMENT 'leading digits of the file name',
  name String COMMENT 'file name in schemas/clickhouse',
  checksum String COMMENT 'SHA-256 of the file, hex',
  applied_at DateTime('UTC') DEFAULT now('UTC') COMMENT 'when it ran'
)
-- Replacing: a file that ran, and whose line was written twice because the first answer was lost, still counts once.
ENGINE = ReplacingMergeTree
ORDER BY number
