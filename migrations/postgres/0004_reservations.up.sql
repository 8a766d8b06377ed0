-- Idempotency keys, with the code that each create has reserved. The bucket is
-- computed from owner, a zero byte and key.
CREATE TABLE reservations (
    created_at  timestamptz NOT NULL,
    bucket      smallint    NOT NULL,
    owner       text        NOT NULL COLLATE "C",
    key         text        NOT NULL COLLATE "C",
    fingerprint text        NOT NULL,
    code        text        NOT NULL COLLATE "C",
    PRIMARY KEY (bucket, owner, key)
);

CREATE INDEX reservations_by_age ON reservations (created_at);
