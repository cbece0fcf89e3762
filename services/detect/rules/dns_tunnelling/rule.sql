-- DNS tunnelling: a workload looks up many different long names under one domain, which is how data leaves through resolvers.
-- severity: high
-- every: 5m
-- looks back: 30m
-- suppress: 6h
-- attack: T1071.004
-- param min_names UInt32 100: different names under the domain
-- param min_chars Float64 24: mean length of what stands before the domain
-- param min_entropy Float64 3: bits per character of it; repeated letters have less, base32 about 4.5
-- param min_fresh Float64 0.9: parts of eight characters or more that no name before had, per name; names made of words repeat theirs
--
-- Names that a resolver inside answers (search domains such as cluster.local, .internal, reverse look-ups) carry nothing out.
-- What it cannot tell: look-ups that carry a hash on purpose (blocklists and virus scanners by DNS) and hosts named by UUIDs
-- look the same; a tunnel of fewer than min_names look-ups in half an hour, or through DNS over HTTPS, is not seen.
WITH
asked AS
(
  SELECT client_cluster, client_ns, client_name AS client, endpoint AS domain, lower(resource) AS name,
    substring(lower(resource), 1, greatest(0, toInt64(length(resource)) - toInt64(length(endpoint)) - 1)) AS label, flow_id
  FROM klartext.flows
  WHERE ts >= {since:DateTime64(6, 'UTC')} AND ts < {until:DateTime64(6, 'UTC')} AND protocol = 'dns' AND endpoint != '' AND endsWith(lower(resource), endpoint) AND capture_side != 'server'
    AND NOT match(endpoint, '(^|\\.)(local|internal|localdomain|lan|home|arpa)$')
),
domains AS
(
  SELECT client_cluster, client_ns, client, domain,
    uniqExact(name) AS names, avg(length(label)) AS chars,
    uniqExactArray(arrayFilter(part -> length(part) >= 8, splitByRegexp('[^0-9a-z]+', label))) / names AS fresh,
    avg(arraySum(n -> -(n / length(label)) * log2(n / length(label)),
      arrayMap(c -> toFloat64(countSubstrings(label, c)), arrayDistinct(splitByString('', label))))) AS entropy,
    groupArray(5)(flow_id) AS evidence
  FROM asked
  WHERE label != ''
  GROUP BY client_cluster, client_ns, client, domain
)
SELECT
  concat(client_cluster, '/', client_ns, '/', client, ' -> ', domain) AS subject,
  names / {min_names:UInt32} AS score,
  concat(client, ' looked up ', toString(names), ' names of ', toString(round(chars)), ' random characters under ', domain) AS summary,
  evidence,
  map('names', toString(names), 'entropy', toString(round(entropy, 2))) AS attrs
FROM domains
WHERE names >= {min_names:UInt32} AND chars >= {min_chars:Float64} AND entropy >= {min_entropy:Float64} AND fresh >= {min_fresh:Float64}
