-- All node ids, with their holders.
CREATE TABLE node_leases (
    node         INTEGER NOT NULL PRIMARY KEY,
    holder       TEXT    NOT NULL, -- token of the holder; empty when given back
    leased_until INTEGER NOT NULL, -- 0 when given back
    used_until   INTEGER NOT NULL  -- latest timestamp that any holder may have used
) STRICT;

INSERT INTO node_leases (node, holder, leased_until, used_until)
WITH RECURSIVE nodes (node) AS (SELECT 0 UNION ALL SELECT node + 1 FROM nodes WHERE node < 511)
SELECT node, '', 0, 0 FROM nodes;

CREATE INDEX node_leases_by_end ON node_leases (leased_until);

-- Secrets that Terse generates for this database on first use.
CREATE TABLE secrets (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 5;
