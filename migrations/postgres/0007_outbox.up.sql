-- Edits that an audience has not yet received. Audience 1 is the caches, 2 is the
-- CDN. Rows come and go all the time, but the table stays small.
CREATE TABLE outbox (
    id         bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    edited_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    due        timestamptz NOT NULL DEFAULT clock_timestamp(),
    shown_from bigint, -- all replicas must replay the write-ahead log up to here; NULL before the first delivery
    bucket     smallint    NOT NULL,
    audience   smallint    NOT NULL CHECK (audience IN (1, 2)),
    code       text        NOT NULL COLLATE "C"
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE INDEX outbox_by_due ON outbox (audience, due);

CREATE FUNCTION links_edited() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO outbox (bucket, audience, code) VALUES (NEW.bucket, 1, NEW.code), (NEW.bucket, 2, NEW.code);
    RETURN NULL;
END
$$;

CREATE TRIGGER links_edited AFTER UPDATE OF version ON links
    FOR EACH ROW WHEN (NEW.version > OLD.version) EXECUTE FUNCTION links_edited();
