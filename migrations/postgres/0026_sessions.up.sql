-- For a session: the id of the API key that signed in, or admin, and the digest of that key.
-- session_key is NULL for other keys.
ALTER TABLE api_keys
    ADD COLUMN session_key text COLLATE "C",
    ADD COLUMN session_hash bytea;

CREATE INDEX api_keys_sessions ON api_keys (created_at) WHERE session_key IS NOT NULL;
