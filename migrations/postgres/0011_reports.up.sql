-- Visitors' reports of links, in the bucket of the link.
CREATE TABLE reports (
    reported_at timestamptz NOT NULL,
    resolved_at timestamptz, -- NULL for an open report
    bucket      smallint    NOT NULL,
    id          text        NOT NULL COLLATE "C" PRIMARY KEY,
    code        text        NOT NULL COLLATE "C",
    reason      text        NOT NULL,
    comment     text        NOT NULL,
    email       text        NOT NULL,
    resolved_by text,
    resolution  text
);

CREATE INDEX reports_open ON reports (reported_at, id) WHERE resolved_at IS NULL;
CREATE INDEX reports_resolved ON reports (reported_at, id) WHERE resolved_at IS NOT NULL;
CREATE INDEX reports_by_code ON reports (bucket, code) WHERE resolved_at IS NULL;
CREATE INDEX reports_by_end ON reports (resolved_at) WHERE resolved_at IS NOT NULL;
