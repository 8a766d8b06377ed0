-- What HTTPS needs: certificates, private keys, ACME accounts and challenges. A deleted file
-- stays without a value for some time, as in a shard.
CREATE TABLE certificate_files (
    key         TEXT    NOT NULL PRIMARY KEY,
    modified_at INTEGER NOT NULL,
    value       BLOB
) STRICT;

CREATE INDEX certificate_files_deleted ON certificate_files (modified_at) WHERE value IS NULL;

CREATE TABLE certificate_locks (
    name       TEXT    NOT NULL PRIMARY KEY,
    holder     TEXT    NOT NULL,
    held_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX certificate_locks_by_end ON certificate_locks (held_until);

PRAGMA user_version = 17;
