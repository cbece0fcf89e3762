-- Error burst: a service fails far more often than it usually does.
-- severity: high
-- every: 1m
-- looks back: 1h
-- suppress: 30m
-- param min_requests UInt32 30: requests of a minute below which nothing is said
-- param min_errors UInt32 5: failed ones likewise
-- param z Float64 4: standard deviations above the mean of the minutes before, and above what chance makes of so few
-- param worse Float64 2: standard deviations of chance above the worst of those minutes
--
-- What it cannot tell: a rise of less than 4 percentage points (the deviation is taken as 1 at least); a service that fails
-- from its first five minutes on; failures that a service always has, or has again and again within 45 minutes; refusals
-- (4xx and their like), which are the client's.
WITH
minutes AS
(
  SELECT server_cluster, server_ns, server_workload, minute,
    sum(e.server_errors + e.unanswered) AS failed, sum(e.requests) AS total, failed / total AS ratio
  FROM klartext.edges AS e
  WHERE minute >= {since:DateTime64(6, 'UTC')} AND minute < {until:DateTime64(6, 'UTC')}
  GROUP BY server_cluster, server_ns, server_workload, minute
),
usual AS
(
  SELECT *,
    avg(ratio) OVER before AS mean,
    greatest(stddevPop(ratio) OVER before, 0.01) AS deviation,
    count() OVER before AS known,
    -- Anscombe's transform: the difference of two counts in standard deviations of chance, also where they are small.
    2 * (sqrt(failed + 0.375) - sqrt(mean * total + 0.375)) AS beyond_chance,
    2 * (sqrt(failed + 0.375) - sqrt(maxIf(ratio, total >= {min_requests:UInt32}) OVER before * total + 0.375)) AS beyond_worst
  FROM minutes
  WINDOW before AS (PARTITION BY server_cluster, server_ns, server_workload ORDER BY minute ROWS BETWEEN 45 PRECEDING AND 1 PRECEDING)
)
SELECT
  concat(server_cluster, '/', server_ns, '/', server_workload) AS subject,
  least((ratio - mean) / deviation, beyond_chance) AS score,
  concat(server_workload, ' failed ', toString(failed), ' of ', toString(total), ' requests in a minute (',
    toString(round(100 * ratio, 1)), ' %; usually ', toString(round(100 * mean, 1)), ' %)') AS summary,
  (SELECT groupArray(5)(f.flow_id) FROM klartext.flows AS f
    WHERE f.server_name = usual.server_workload AND f.server_ns = usual.server_ns
      AND f.ts >= usual.minute AND f.ts < usual.minute + INTERVAL 1 MINUTE
      AND f.outcome IN ('server_error', 'timeout', 'no_response', 'reset')) AS evidence,
  map('minute', toString(minute)) AS attrs
FROM usual
WHERE minute >= {until:DateTime64(6, 'UTC')} - INTERVAL 1 MINUTE
  AND known >= 5 AND total >= {min_requests:UInt32} AND failed >= {min_errors:UInt32} AND score >= {z:Float64} AND beyond_worst >= {worse:Float64}
