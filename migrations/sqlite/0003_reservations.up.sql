-- Idempotency keys, with the code that each create has reserved.
CREATE TABLE reservations (
    owner       TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    fingerprint TEXT    NOT NULL,
    code        TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (owner, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX reservations_by_age ON reservations (created_at);

PRAGMA user_version = 3;
