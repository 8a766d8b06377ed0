-- Whether the path of a visit after the code is added to the target. NULL: it is not.
ALTER TABLE links ADD COLUMN forward_path boolean;

CREATE OR REPLACE FUNCTION link_history_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO link_history (version, bucket, code, target, updated_at, status, forward_query, title, tags, starts_at,
        expires_at, max_clicks, password_mark, disabled_at, disabled_reason, edited_by, edit_note, confirm, rules, no_visitors,
        forward_path)
    VALUES (OLD.version, OLD.bucket, OLD.code, OLD.target, OLD.updated_at, OLD.status, OLD.forward_query, OLD.title,
        OLD.tags, OLD.starts_at, OLD.expires_at, OLD.max_clicks, '*' || substr(OLD.password_hash, 8, 6), OLD.disabled_at,
        OLD.disabled_reason, OLD.edited_by, OLD.edit_note, OLD.confirm, OLD.rules, OLD.no_visitors,
        OLD.forward_path);
    DELETE FROM link_history
    WHERE bucket = NEW.bucket AND code = NEW.code AND version BETWEEN 2 AND NEW.version - 1001;
    RETURN NULL;
END
$$;
