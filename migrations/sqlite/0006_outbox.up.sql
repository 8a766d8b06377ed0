-- Edits that an audience has not yet received. Audience 1 is the caches, 2 is the CDN.
CREATE TABLE outbox (
    id        INTEGER NOT NULL PRIMARY KEY,
    edited_at INTEGER NOT NULL,
    due       INTEGER NOT NULL,
    audience  INTEGER NOT NULL,
    code      TEXT    NOT NULL
) STRICT;

CREATE INDEX outbox_by_due ON outbox (audience, due);

CREATE TRIGGER links_edited AFTER UPDATE OF version ON links
WHEN NEW.version > OLD.version
BEGIN
    INSERT INTO outbox (edited_at, due, audience, code)
    SELECT now, now, audience, NEW.code
    FROM (SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER) AS now),
         (SELECT 1 AS audience UNION ALL SELECT 2);
END;

PRAGMA user_version = 6;
