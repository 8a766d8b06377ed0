-- One row for each link. NULL means that the value is not set, or that it has the
-- default in the column's comment: NULL takes no space. Columns of fixed width come
-- first, so that rows need no padding.
CREATE TABLE links (
    created_at      timestamptz NOT NULL,
    version         integer     NOT NULL,
    bucket          smallint    NOT NULL, -- lowest 12 bits of the xxhash64 of code
    code            text        NOT NULL COLLATE "C",
    target          text        NOT NULL COLLATE "C",
    owner           text        NOT NULL COLLATE "C",
    updated_at      timestamptz, -- NULL: created_at
    status          smallint,    -- NULL: 302
    forward_query   smallint,    -- NULL: off
    title           text,
    tags            text[],
    starts_at       timestamptz,
    expires_at      timestamptz,
    max_clicks      bigint,
    used_clicks     bigint,
    password_hash   text,
    disabled_at     timestamptz,
    disabled_reason text,
    deleted_at      timestamptz, -- the link is a tombstone
    request_id      text,
    PRIMARY KEY (bucket, code)
);

-- These two indexes contain hashes instead of texts, which halves their size. Queries
-- must compare the text as well.
CREATE INDEX links_by_owner ON links (hashtextextended(owner, 0), created_at)
    WHERE deleted_at IS NULL;

CREATE INDEX links_by_target ON links (hashtextextended(target, hashtextextended(owner, 0)))
    WHERE deleted_at IS NULL;

-- A copy of the tags of each live link, in the order of lists. The triggers keep it
-- equal to links.tags.
CREATE TABLE link_tags (
    bucket     smallint    NOT NULL,
    created_at timestamptz NOT NULL,
    owner      text        NOT NULL COLLATE "C",
    tag        text        NOT NULL COLLATE "C",
    code       text        NOT NULL COLLATE "C",
    PRIMARY KEY (owner, tag, created_at, code)
);

CREATE FUNCTION link_tags_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        DELETE FROM link_tags t
        WHERE t.owner = OLD.owner AND t.tag = ANY (OLD.tags)
          AND t.created_at = OLD.created_at AND t.code = OLD.code;
    END IF;
    INSERT INTO link_tags (bucket, created_at, owner, tag, code)
    SELECT NEW.bucket, NEW.created_at, NEW.owner, tag, NEW.code FROM unnest(NEW.tags) AS tag
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

CREATE TRIGGER link_tags_of_new AFTER INSERT ON links
    FOR EACH ROW WHEN (NEW.tags IS NOT NULL) EXECUTE FUNCTION link_tags_changed();

CREATE TRIGGER link_tags_of_edited AFTER UPDATE OF tags ON links
    FOR EACH ROW WHEN (NEW.tags IS DISTINCT FROM OLD.tags) EXECUTE FUNCTION link_tags_changed();
