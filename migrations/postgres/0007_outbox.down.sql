DROP TRIGGER links_edited ON links;
DROP FUNCTION links_edited;
DROP TABLE outbox;
