-- A key that shares statistics would become an API key without scopes.
DELETE FROM api_keys WHERE share_kind IS NOT NULL;

ALTER TABLE api_keys
    DROP COLUMN share_kind,
    DROP COLUMN share_key,
    DROP COLUMN share_password;
