-- Batches of clicks that wait for the fold into click_days, oldest first. days is packed, and
-- size is its length before compression. A row with a code in forget makes the fold drop the
-- older days of that link, both waiting and stored. The table stays small, but its rows change all
-- the time.
CREATE TABLE click_batches (
    id       bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    added_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    size     bigint      NOT NULL DEFAULT 0,
    forget   text        COLLATE "C",
    days     bytea
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

ALTER TABLE click_batches ALTER COLUMN days SET STORAGE EXTERNAL; -- compressed already

-- Makes the next fold delete the days of a deleted link. Nodes of a version without days delete
-- links too.
CREATE FUNCTION links_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO click_batches (forget) VALUES (NEW.code);
    RETURN NULL;
END
$$;

CREATE TRIGGER links_deleted AFTER UPDATE OF deleted_at ON links
    FOR EACH ROW WHEN (NEW.deleted_at IS NOT NULL AND OLD.deleted_at IS NULL) EXECUTE FUNCTION links_deleted();

-- Clicks of one UTC day: of one link, or of all links of an owner, tag or domain in this shard.
-- store.ClickKind defines the kinds and their keys. bucket is -1 in rows of several links: they
-- are partial sums, and stay in their shard when buckets move. click_days_add_month makes a
-- partition for each month.
CREATE TABLE click_days (
    day    date     NOT NULL,
    bucket smallint NOT NULL,
    kind   smallint NOT NULL,
    key    text     NOT NULL COLLATE "C",
    data   bytea    NOT NULL,
    PRIMARY KEY (bucket, kind, key, day)
) PARTITION BY RANGE (day);

ALTER TABLE click_days ALTER COLUMN data SET STORAGE EXTERNAL; -- compressed already

-- One row: the progress of retention. Rows of months before coarse_before have less detail. In
-- the month of coarse_before, the rows up to (bucket, kind, key, day) have less detail too.
CREATE TABLE click_sweep (
    "only"        boolean  NOT NULL DEFAULT true PRIMARY KEY CHECK ("only"),
    coarse_before date     NOT NULL DEFAULT '1970-01-01',
    day           date     NOT NULL DEFAULT '1970-01-01',
    bucket        smallint NOT NULL DEFAULT -2,
    kind          smallint NOT NULL DEFAULT 0,
    key           text     NOT NULL DEFAULT '' COLLATE "C"
);

INSERT INTO click_sweep DEFAULT VALUES;

-- Salts for hashes of visitors, one for each UTC day. An unlogged table is in no write-ahead
-- log, base backup or replica.
CREATE UNLOGGED TABLE click_salts (
    day  date  NOT NULL PRIMARY KEY,
    salt bytea NOT NULL
);

-- The functions that change tables run as the owner of the tables, because servers may only
-- change rows. Callers hold the lock of click_days, see store/postgres.

-- Makes the partition of a month. Attaching a table blocks neither reads nor writes of the others.
CREATE FUNCTION click_days_add_month(at date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    month date := date_trunc('month', at::timestamp)::date;
    name  text := 'click_days_' || to_char(month, 'YYYY_MM');
BEGIN
    IF to_regclass(name) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE click_days INCLUDING STORAGE INCLUDING INDEXES) WITH (fillfactor = 80)', name);
        EXECUTE format('ALTER TABLE click_days ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            name, month, (month + interval '1 month')::date);
    END IF;
END
$$;

-- Drops the partition of a month.
CREATE FUNCTION click_days_drop_month(at date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    EXECUTE format('DROP TABLE IF EXISTS %I', 'click_days_' || to_char(at, 'YYYY_MM'));
END
$$;

-- Destroys the salts of days before a day. TRUNCATE removes their file; DELETE would leave the
-- bytes in it.
CREATE FUNCTION click_salts_destroy(before date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    kept click_salts[];
BEGIN
    IF EXISTS (SELECT FROM click_salts WHERE day < before) THEN
        LOCK TABLE click_salts IN ACCESS EXCLUSIVE MODE;
        kept := ARRAY(SELECT s FROM click_salts s WHERE day >= before);
        TRUNCATE click_salts;
        INSERT INTO click_salts SELECT * FROM unnest(kept);
    END IF;
END
$$;

-- A function of the owner must find only the owner's tables.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['click_days_add_month', 'click_days_drop_month', 'click_salts_destroy'] LOOP
        EXECUTE format('ALTER FUNCTION %I(date) SET search_path = %I, pg_temp', name, current_schema());
    END LOOP;
    PERFORM click_days_add_month((now() AT TIME ZONE 'UTC')::date),
        click_days_add_month(((now() AT TIME ZONE 'UTC') + interval '1 month')::date);
END
$$;
