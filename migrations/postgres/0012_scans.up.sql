-- How far the scans of all links of this shard have come, and which node does them.
CREATE TABLE scans (
    held_until timestamptz NOT NULL,
    name       text        NOT NULL COLLATE "C" PRIMARY KEY,
    holder     text        NOT NULL,
    state      text        NOT NULL
) WITH (fillfactor = 50);
