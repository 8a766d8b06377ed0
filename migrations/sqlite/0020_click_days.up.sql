-- robots counts the clicks that are not of people.
ALTER TABLE click_totals ADD COLUMN robots INTEGER NOT NULL DEFAULT 0;

-- Batches of clicks that wait for the fold into click_days, oldest first. days is packed, and
-- size is its length before compression. A row with a code in forget makes the fold drop the
-- older days of that link, both waiting and stored.
CREATE TABLE click_batches (
    id       INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    added_at INTEGER NOT NULL,
    forget   TEXT    NOT NULL,
    size     INTEGER NOT NULL,
    days     BLOB    NOT NULL
) STRICT;

CREATE INDEX click_batches_forget ON click_batches (id) WHERE forget <> '';

-- Clicks of one UTC day: of one link, or of all links of an owner, tag or domain. store.ClickKind
-- defines the kinds and their keys. day counts from 1970-01-01.
CREATE TABLE click_days (
    kind INTEGER NOT NULL,
    key  TEXT    NOT NULL COLLATE BINARY,
    day  INTEGER NOT NULL,
    data BLOB    NOT NULL,
    PRIMARY KEY (kind, key, day)
) STRICT;

-- One row: the progress of retention. Rows of days before coarse_before have less detail, and
-- rows of days before drop_before are deleted. next_coarse and next_drop are the limits of
-- the running pass through click_days, which has reached (kind, key, day).
CREATE TABLE click_sweep (
    coarse_before INTEGER NOT NULL,
    drop_before   INTEGER NOT NULL,
    next_coarse   INTEGER NOT NULL,
    next_drop     INTEGER NOT NULL,
    kind          INTEGER NOT NULL,
    key           TEXT    NOT NULL,
    day           INTEGER NOT NULL
) STRICT;

INSERT INTO click_sweep VALUES (0, 0, 0, 0, -1, '', 0);

-- Deletes the days of a deleted link.
CREATE TRIGGER click_days_of_deleted AFTER UPDATE OF deleted_at ON links
WHEN NEW.deleted_at <> 0
BEGIN
    DELETE FROM click_days WHERE kind = 0 AND key = NEW.code;
    INSERT INTO click_batches (added_at, forget, size, days)
    VALUES (CAST(unixepoch('subsec') * 1000000 AS INTEGER), NEW.code, 0, x'');
END;

PRAGMA user_version = 20;
