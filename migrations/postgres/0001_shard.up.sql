-- What this shard is. There is one row, which the first migration of a group of
-- shards writes together with the buckets and node ids that it deals out.
CREATE TABLE shard (
    "only"      boolean NOT NULL DEFAULT true PRIMARY KEY CHECK ("only"),
    name        text    NOT NULL,
    dealt_among text[]  NOT NULL, -- names of all shards among which the buckets were dealt, sorted
    dealt       boolean NOT NULL DEFAULT false, -- all of them are known to have their share
    map_version bigint  NOT NULL DEFAULT 1      -- grows with every change of buckets
);

-- The buckets of this shard. A node may write to a bucket while it is owned,
-- and holds pg_advisory_xact_lock_shared(1413829203, bucket) meanwhile: whoever
-- changes the owner of a bucket holds that lock exclusively.
CREATE TABLE buckets (
    bucket smallint NOT NULL PRIMARY KEY CHECK (bucket BETWEEN 0 AND 4095),
    state  text     NOT NULL CHECK (state IN ('owned', 'moved')),
    epoch  bigint   NOT NULL
);

CREATE FUNCTION buckets_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE shard SET map_version = map_version + 1;
    RETURN NULL;
END
$$;

CREATE TRIGGER buckets_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON buckets
    FOR EACH STATEMENT EXECUTE FUNCTION buckets_changed();
