-- Which of these files ran, and the checksum each had then.
CREATE TABLE IF NOT EXISTS klartext.schema_migrations
(
  number UInt32,
  name String,
  checksum String COMMENT 'SHA-256 of the file, hex',
  applied_at DateTime DEFAULT now()
)
ENGINE = MergeTree
ORDER BY number
SETTINGS non_replicated_deduplication_window = 100
