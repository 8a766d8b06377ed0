-- API keys: digests of tokens, never the tokens. The bucket is that of the
-- digest, so that each shard has some of the keys.
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
