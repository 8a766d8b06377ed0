-- The bytes "Ters". They distinguish this file from other programs' databases.
PRAGMA application_id = 1415934579;

-- One row for each link. Times are Unix microseconds; 0 means not set. created_at
-- never changes, so lists have a stable order.
CREATE TABLE links (
    code            TEXT    NOT NULL PRIMARY KEY COLLATE BINARY,
    target          TEXT    NOT NULL,
    target_hash     INTEGER NOT NULL, -- xxhash64 of target
    title           TEXT    NOT NULL,
    tags            TEXT    NOT NULL, -- JSON array of strings
    owner           TEXT    NOT NULL,
    status          INTEGER NOT NULL,
    forward_query   INTEGER NOT NULL,
    starts_at       INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    max_clicks      INTEGER NOT NULL,
    password_hash   TEXT    NOT NULL,
    disabled_at     INTEGER NOT NULL,
    disabled_reason TEXT    NOT NULL,
    deleted_at      INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    version         INTEGER NOT NULL,
    request_id      TEXT    NOT NULL,
    used_clicks     INTEGER NOT NULL
) STRICT;

CREATE INDEX links_by_owner ON links (owner, created_at, code)
    WHERE deleted_at = 0;

CREATE INDEX links_by_target ON links (owner, target_hash, created_at, code)
    WHERE deleted_at = 0;

-- A copy of the tags of each link, in the order of lists. The triggers keep it equal
-- to links.tags.
CREATE TABLE link_tags (
    owner      TEXT    NOT NULL,
    tag        TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    code       TEXT    NOT NULL,
    PRIMARY KEY (owner, tag, created_at, code)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER link_tags_of_new AFTER INSERT ON links
WHEN NEW.tags <> '[]'
BEGIN
    INSERT INTO link_tags (owner, tag, created_at, code)
    SELECT NEW.owner, value, NEW.created_at, NEW.code FROM json_each(NEW.tags)
    WHERE true
    ON CONFLICT DO NOTHING;
END;

CREATE TRIGGER link_tags_of_edited AFTER UPDATE OF tags ON links
WHEN NEW.tags <> OLD.tags
BEGIN
    DELETE FROM link_tags
    WHERE owner = OLD.owner AND created_at = OLD.created_at AND code = OLD.code
      AND tag IN (SELECT value FROM json_each(OLD.tags));
    INSERT INTO link_tags (owner, tag, created_at, code)
    SELECT NEW.owner, value, NEW.created_at, NEW.code FROM json_each(NEW.tags)
    WHERE true
    ON CONFLICT DO NOTHING;
END;

PRAGMA user_version = 1;
