DROP TRIGGER links_edited;
DROP TABLE outbox;

PRAGMA user_version = 5;
