-- One row that describes this shard. The first migration of a group of shards writes
-- it, together with the buckets and node ids of the shard.
CREATE TABLE shard (
    "only"      boolean NOT NULL DEFAULT true PRIMARY KEY CHECK ("only"),
    name        text    NOT NULL,
    dealt_among text[]  NOT NULL, -- sorted names of all shards that share the buckets
    dealt       boolean NOT NULL DEFAULT false, -- true once every shard has its buckets
    map_version bigint  NOT NULL DEFAULT 1      -- grows with every change of buckets
);

-- The buckets of this shard. A write to an owned bucket holds
-- pg_advisory_xact_lock_shared(1413829203, bucket). A change of the bucket's owner
-- holds the same lock exclusively.
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
