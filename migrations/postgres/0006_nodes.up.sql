-- The node ids that this shard leases, with their holders. Each node id belongs to one
-- shard, like a bucket. While a shard is down, servers lease node ids of other shards.
CREATE TABLE node_leases (
    node         smallint    NOT NULL PRIMARY KEY CHECK (node BETWEEN 0 AND 511),
    holder       text        NOT NULL DEFAULT '', -- token of the holder; empty when released
    held_by      text        NOT NULL DEFAULT '', -- name of the holder, for operators
    leased_until timestamptz NOT NULL DEFAULT '-infinity',
    used_until   timestamptz -- latest timestamp that any holder may have used
) WITH (fillfactor = 50);
