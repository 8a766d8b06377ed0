-- Domains of short links besides the default one. id is a minted code, which is part of the keys
-- of the links.
CREATE TABLE domains (
    id               TEXT    NOT NULL PRIMARY KEY COLLATE BINARY,
    host             TEXT    NOT NULL,
    owner            TEXT    NOT NULL,
    shared           INTEGER NOT NULL,
    state            INTEGER NOT NULL,
    root_url         TEXT    NOT NULL,
    root_status      INTEGER NOT NULL,
    not_found_url    TEXT    NOT NULL,
    not_found_status INTEGER NOT NULL,
    ended_url        TEXT    NOT NULL,
    ended_status     INTEGER NOT NULL,
    robots           INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    verified_at      INTEGER NOT NULL,
    version          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The hosts of the domains. The primary key decides which domain has a host.
CREATE TABLE domain_hosts (
    host        TEXT    NOT NULL PRIMARY KEY COLLATE BINARY,
    domain_id   TEXT    NOT NULL COLLATE BINARY,
    owner       TEXT    NOT NULL,
    claimed_at  INTEGER NOT NULL,
    verified_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX domain_hosts_by_domain ON domain_hosts (domain_id, host);

-- One row. version grows with every change of domains and domain_hosts.
CREATE TABLE domains_version (
    version INTEGER NOT NULL
) STRICT;

INSERT INTO domains_version VALUES (1);

CREATE TRIGGER domains_added AFTER INSERT ON domains
BEGIN
    UPDATE domains_version SET version = version + 1;
END;

CREATE TRIGGER domains_changed AFTER UPDATE ON domains
BEGIN
    UPDATE domains_version SET version = version + 1;
END;

CREATE TRIGGER domains_removed AFTER DELETE ON domains
BEGIN
    UPDATE domains_version SET version = version + 1;
END;

CREATE TRIGGER domain_hosts_added AFTER INSERT ON domain_hosts
BEGIN
    UPDATE domains_version SET version = version + 1;
END;

CREATE TRIGGER domain_hosts_changed AFTER UPDATE ON domain_hosts
BEGIN
    UPDATE domains_version SET version = version + 1;
END;

CREATE TRIGGER domain_hosts_removed AFTER DELETE ON domain_hosts
BEGIN
    UPDATE domains_version SET version = version + 1;
END;

PRAGMA user_version = 16;
