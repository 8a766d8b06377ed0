-- Editor and reason of the current version of a link. The owner made version 1.
ALTER TABLE links ADD COLUMN edited_by TEXT NOT NULL DEFAULT '';
ALTER TABLE links ADD COLUMN edit_note TEXT NOT NULL DEFAULT '';

-- Replaced versions of links. password_mark is a part of the salt of the password's
-- hash: it shows whether two versions have the same password, and does not help to
-- guess it.
CREATE TABLE link_history (
    code            TEXT    NOT NULL COLLATE BINARY,
    version         INTEGER NOT NULL,
    replaced_at     INTEGER NOT NULL,
    target          TEXT    NOT NULL,
    title           TEXT    NOT NULL,
    tags            TEXT    NOT NULL,
    status          INTEGER NOT NULL,
    forward_query   INTEGER NOT NULL,
    starts_at       INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    max_clicks      INTEGER NOT NULL,
    password_mark   TEXT    NOT NULL,
    disabled_at     INTEGER NOT NULL,
    disabled_reason TEXT    NOT NULL,
    updated_at      INTEGER NOT NULL,
    edited_by       TEXT    NOT NULL,
    edit_note       TEXT    NOT NULL,
    PRIMARY KEY (code, version)
) STRICT, WITHOUT ROWID;

CREATE INDEX link_history_by_age ON link_history (replaced_at);

CREATE TRIGGER link_history_kept AFTER UPDATE OF version ON links
WHEN NEW.version > OLD.version
BEGIN
    INSERT INTO link_history (code, version, replaced_at, target, title, tags, status, forward_query,
        starts_at, expires_at, max_clicks, password_mark, disabled_at, disabled_reason, updated_at, edited_by, edit_note)
    SELECT OLD.code, OLD.version, CAST(unixepoch('subsec') * 1000000 AS INTEGER),
        OLD.target, OLD.title, OLD.tags, OLD.status, OLD.forward_query, OLD.starts_at, OLD.expires_at, OLD.max_clicks,
        CASE OLD.password_hash WHEN '' THEN '' ELSE '*' || substr(OLD.password_hash, 8, 6) END,
        OLD.disabled_at, OLD.disabled_reason, OLD.updated_at, OLD.edited_by, OLD.edit_note;
    DELETE FROM link_history WHERE code = NEW.code AND version BETWEEN 2 AND NEW.version - 1001;
END;

PRAGMA user_version = 7;
