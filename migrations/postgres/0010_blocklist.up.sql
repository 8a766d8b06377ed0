-- Hosts that links must not lead to. pattern has the format of store.HostPattern. The
-- bucket is computed from pattern, so the patterns are spread over the shards.
CREATE TABLE blocked_hosts (
    blocked_at timestamptz NOT NULL,
    bucket     smallint    NOT NULL,
    pattern    text        NOT NULL COLLATE "C" PRIMARY KEY,
    reason     text        NOT NULL,
    blocked_by text        NOT NULL
);

-- One row. version grows with every change of blocked_hosts.
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
