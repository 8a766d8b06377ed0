-- What people need to tell keys apart and to find those that nobody uses. NULL means
-- never used, and an empty limit that of all keys.
ALTER TABLE api_keys
    ADD COLUMN last_used_at timestamptz,
    ADD COLUMN prefix       text NOT NULL DEFAULT '',
    ADD COLUMN create_limit text NOT NULL DEFAULT '';
