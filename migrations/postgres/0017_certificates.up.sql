-- What all servers share for HTTPS: certificates, private keys, ACME accounts and challenges.
-- Every shard has a copy. A deleted file stays without a value, so that no older copy of
-- another shard replaces the deletion.
CREATE TABLE certificate_files (
    modified_at timestamptz NOT NULL,
    key         text        NOT NULL COLLATE "C" PRIMARY KEY,
    value       bytea
);

CREATE INDEX certificate_files_deleted ON certificate_files (modified_at) WHERE value IS NULL;

CREATE TABLE certificate_locks (
    held_until timestamptz NOT NULL,
    name       text        NOT NULL COLLATE "C" PRIMARY KEY,
    holder     text        NOT NULL
) WITH (fillfactor = 50);

CREATE INDEX certificate_locks_by_end ON certificate_locks (held_until);
