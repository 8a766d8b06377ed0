-- Whether the path of a visit after the code is added to the target: 0 or 1.
ALTER TABLE links ADD COLUMN forward_path INTEGER NOT NULL DEFAULT 0;
ALTER TABLE link_history ADD COLUMN forward_path INTEGER NOT NULL DEFAULT 0;

DROP TRIGGER link_history_kept;

CREATE TRIGGER link_history_kept AFTER UPDATE OF version ON links
WHEN NEW.version > OLD.version
BEGIN
    INSERT INTO link_history (code, version, replaced_at, target, title, tags, status, forward_query,
        starts_at, expires_at, max_clicks, password_mark, disabled_at, disabled_reason, updated_at, edited_by, edit_note, confirm, rules, no_visitors,
        forward_path)
    SELECT OLD.code, OLD.version, CAST(unixepoch('subsec') * 1000000 AS INTEGER),
        OLD.target, OLD.title, OLD.tags, OLD.status, OLD.forward_query, OLD.starts_at, OLD.expires_at, OLD.max_clicks,
        CASE OLD.password_hash WHEN '' THEN '' ELSE '*' || substr(OLD.password_hash, 8, 6) END,
        OLD.disabled_at, OLD.disabled_reason, OLD.updated_at, OLD.edited_by, OLD.edit_note, OLD.confirm, OLD.rules, OLD.no_visitors,
        OLD.forward_path;
    DELETE FROM link_history WHERE code = NEW.code AND version BETWEEN 2 AND NEW.version - 1001;
END;

PRAGMA user_version = 27;
