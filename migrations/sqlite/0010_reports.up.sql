-- Visitors' reports of links.
CREATE TABLE reports (
    id          TEXT    NOT NULL PRIMARY KEY COLLATE BINARY,
    code        TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    comment     TEXT    NOT NULL,
    email       TEXT    NOT NULL,
    reported_at INTEGER NOT NULL,
    resolved_at INTEGER NOT NULL,
    resolved_by TEXT    NOT NULL,
    resolution  TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX reports_open ON reports (reported_at, id) WHERE resolved_at = 0;
CREATE INDEX reports_resolved ON reports (reported_at, id) WHERE resolved_at > 0;
CREATE INDEX reports_by_code ON reports (code) WHERE resolved_at = 0;
CREATE INDEX reports_by_end ON reports (resolved_at) WHERE resolved_at > 0;

PRAGMA user_version = 10;
