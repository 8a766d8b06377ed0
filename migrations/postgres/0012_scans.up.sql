-- Progress of each scan of this shard's links, and the server that runs the scan.
CREATE TABLE scans (
    held_until timestamptz NOT NULL,
    name       text        NOT NULL COLLATE "C" PRIMARY KEY,
    holder     text        NOT NULL,
    state      text        NOT NULL
) WITH (fillfactor = 50);
