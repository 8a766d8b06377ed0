-- A session would become an API key.
DELETE FROM api_keys WHERE session_key IS NOT NULL;

DROP INDEX api_keys_sessions;
ALTER TABLE api_keys
    DROP COLUMN session_key,
    DROP COLUMN session_hash;
