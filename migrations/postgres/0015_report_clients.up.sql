-- client is a digest of the client that sent an open report. It is empty in resolved reports,
-- and in reports of older servers. dropped counts the later reports of the link for the same
-- reason that found no room.
ALTER TABLE reports
    ADD COLUMN client  text   NOT NULL DEFAULT '' COLLATE "C",
    ADD COLUMN dropped bigint NOT NULL DEFAULT 0;

CREATE UNIQUE INDEX reports_by_client ON reports (client, bucket, code) WHERE resolved_at IS NULL AND client <> '';
CREATE INDEX reports_by_reason ON reports (reason) WHERE resolved_at IS NULL;
