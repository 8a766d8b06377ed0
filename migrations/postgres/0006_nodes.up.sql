-- The node ids that this shard leases, and who may mint under them. Each node
-- id is one shard's, dealt out with the buckets, so that a dead shard keeps
-- nobody from minting.
CREATE TABLE node_leases (
    node         smallint    NOT NULL PRIMARY KEY CHECK (node BETWEEN 0 AND 511),
    holder       text        NOT NULL DEFAULT '', -- token of the holder; empty when given back
    held_by      text        NOT NULL DEFAULT '', -- the holder, for people
    leased_until timestamptz NOT NULL DEFAULT '-infinity',
    used_until   timestamptz -- latest timestamp that any holder may have used
) WITH (fillfactor = 50);
