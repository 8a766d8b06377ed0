-- How far the scans of all links have come, and who does them.
CREATE TABLE scans (
    name       TEXT    NOT NULL PRIMARY KEY,
    state      TEXT    NOT NULL,
    holder     TEXT    NOT NULL,
    held_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 11;
