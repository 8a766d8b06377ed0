-- API keys. The table contains hashes of tokens, never the tokens. The bucket is
-- computed from the hash, so the keys are spread over the shards.
CREATE TABLE api_keys (
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    bucket     smallint    NOT NULL,
    id         text        NOT NULL COLLATE "C" PRIMARY KEY,
    name       text        NOT NULL,
    hash       bytea       NOT NULL UNIQUE,
    scopes     text[]      NOT NULL
);
