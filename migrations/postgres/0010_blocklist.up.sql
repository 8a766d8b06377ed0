-- Hosts to which no link may lead. A pattern is as store.HostPattern writes it, and
-- the bucket is its own, so that each shard has some of them.
CREATE TABLE blocked_hosts (
    blocked_at timestamptz NOT NULL,
    bucket     smallint    NOT NULL,
    pattern    text        NOT NULL COLLATE "C" PRIMARY KEY,
    reason     text        NOT NULL,
    blocked_by text        NOT NULL
);

-- One row, which grows with every change of them.
CREATE TABLE blocklist_version (
    version bigint NOT NULL
);

INSERT INTO blocklist_version VALUES (1);

CREATE FUNCTION blocked_hosts_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE blocklist_version SET version = version + 1;
    RETURN NULL;
END
$$;

CREATE TRIGGER blocked_hosts_changed AFTER INSERT OR DELETE OR TRUNCATE ON blocked_hosts
    FOR EACH STATEMENT EXECUTE FUNCTION blocked_hosts_changed();
