-- client is a digest of the client that sent an open report. It is empty in resolved reports.
-- dropped counts the later reports of the link for the same reason that found no room.
ALTER TABLE reports ADD COLUMN client TEXT NOT NULL DEFAULT '';
ALTER TABLE reports ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0;

CREATE UNIQUE INDEX reports_by_client ON reports (client, code) WHERE resolved_at = 0 AND client <> '';
CREATE INDEX reports_by_reason ON reports (reason) WHERE resolved_at = 0;

PRAGMA user_version = 15;
