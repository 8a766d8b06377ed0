-- Progress of each scan of all links, and the server that runs the scan.
CREATE TABLE scans (
    name       TEXT    NOT NULL PRIMARY KEY,
    state      TEXT    NOT NULL,
    holder     TEXT    NOT NULL,
    held_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 11;
