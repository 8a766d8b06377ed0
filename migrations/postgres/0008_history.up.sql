-- Editor and reason of the current version of a link. The owner made version 1.
ALTER TABLE links ADD COLUMN edited_by text, ADD COLUMN edit_note text;

-- Replaced versions of links. password_mark is a part of the salt of the password's
-- hash: it shows whether two versions have the same password, and does not help to
-- guess it.
CREATE TABLE link_history (
    replaced_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    version         integer     NOT NULL,
    bucket          smallint    NOT NULL,
    code            text        NOT NULL COLLATE "C",
    target          text        NOT NULL,
    updated_at      timestamptz,
    status          smallint,
    forward_query   smallint,
    title           text,
    tags            text[],
    starts_at       timestamptz,
    expires_at      timestamptz,
    max_clicks      bigint,
    password_mark   text,
    disabled_at     timestamptz,
    disabled_reason text,
    edited_by       text,
    edit_note       text,
    PRIMARY KEY (bucket, code, version)
);

CREATE INDEX link_history_by_age ON link_history (replaced_at);

CREATE FUNCTION link_history_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO link_history (version, bucket, code, target, updated_at, status, forward_query, title, tags, starts_at,
        expires_at, max_clicks, password_mark, disabled_at, disabled_reason, edited_by, edit_note)
    VALUES (OLD.version, OLD.bucket, OLD.code, OLD.target, OLD.updated_at, OLD.status, OLD.forward_query, OLD.title,
        OLD.tags, OLD.starts_at, OLD.expires_at, OLD.max_clicks, '*' || substr(OLD.password_hash, 8, 6), OLD.disabled_at,
        OLD.disabled_reason, OLD.edited_by, OLD.edit_note);
    DELETE FROM link_history
    WHERE bucket = NEW.bucket AND code = NEW.code AND version BETWEEN 2 AND NEW.version - 1001;
    RETURN NULL;
END
$$;

CREATE TRIGGER link_history_kept AFTER UPDATE OF version ON links
    FOR EACH ROW WHEN (NEW.version > OLD.version) EXECUTE FUNCTION link_history_kept();
