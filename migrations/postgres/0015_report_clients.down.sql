DROP INDEX reports_by_reason;
DROP INDEX reports_by_client;
ALTER TABLE reports
    DROP COLUMN dropped,
    DROP COLUMN client;
