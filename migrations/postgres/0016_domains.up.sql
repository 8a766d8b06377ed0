-- Domains of short links besides the default one. id is a minted code, which is part of the keys
-- of the links. The bucket is computed from id.
CREATE TABLE domains (
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    verified_at      timestamptz,
    version          bigint      NOT NULL,
    bucket           smallint    NOT NULL,
    state            smallint    NOT NULL,
    robots           smallint    NOT NULL,
    root_status      smallint    NOT NULL,
    not_found_status smallint    NOT NULL,
    ended_status     smallint    NOT NULL,
    shared           boolean     NOT NULL,
    id               text        NOT NULL COLLATE "C" PRIMARY KEY,
    host             text        NOT NULL COLLATE "C",
    owner            text        NOT NULL COLLATE "C",
    root_url         text        NOT NULL,
    not_found_url    text        NOT NULL,
    ended_url        text        NOT NULL
);

-- The hosts of the domains. The bucket is computed from host, so that one primary key decides
-- which domain has a host. The domain may be in another database.
CREATE TABLE domain_hosts (
    claimed_at  timestamptz NOT NULL,
    verified_at timestamptz,
    bucket      smallint    NOT NULL,
    host        text        NOT NULL COLLATE "C" PRIMARY KEY,
    domain_id   text        NOT NULL COLLATE "C",
    owner       text        NOT NULL COLLATE "C"
);

CREATE INDEX domain_hosts_by_domain ON domain_hosts (domain_id, host);

-- One row. version grows with every change of domains and domain_hosts.
CREATE TABLE domains_version (
    version bigint NOT NULL
);

INSERT INTO domains_version VALUES (1);

CREATE FUNCTION domains_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE domains_version SET version = version + 1;
    RETURN NULL;
END
$$;

CREATE TRIGGER domains_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON domains
    FOR EACH STATEMENT EXECUTE FUNCTION domains_changed();

CREATE TRIGGER domain_hosts_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON domain_hosts
    FOR EACH STATEMENT EXECUTE FUNCTION domains_changed();
