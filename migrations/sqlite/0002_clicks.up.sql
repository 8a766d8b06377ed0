-- Click totals are in their own table, so that counting does not rewrite links.
CREATE TABLE click_totals (
    code          TEXT    NOT NULL PRIMARY KEY COLLATE BINARY,
    total         INTEGER NOT NULL,
    last_click_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A tombstone has no clicks.
CREATE TRIGGER click_totals_of_deleted AFTER UPDATE OF deleted_at ON links
WHEN NEW.deleted_at <> 0
BEGIN
    DELETE FROM click_totals WHERE code = NEW.code;
END;

-- The latest batch of each recorder. A batch with the same or a lower seq is not
-- counted again.
CREATE TABLE click_flushes (
    recorder   TEXT    NOT NULL PRIMARY KEY,
    seq        INTEGER NOT NULL,
    flushed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX click_flushes_by_age ON click_flushes (flushed_at);

PRAGMA user_version = 2;
