DROP INDEX reports_by_reason;
DROP INDEX reports_by_client;
ALTER TABLE reports DROP COLUMN dropped;
ALTER TABLE reports DROP COLUMN client;

PRAGMA user_version = 14;
