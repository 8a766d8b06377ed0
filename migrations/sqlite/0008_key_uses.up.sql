-- What people need to tell keys apart and to find those that nobody uses. An empty
-- limit is that of all keys.
ALTER TABLE api_keys ADD COLUMN last_used_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE api_keys ADD COLUMN prefix TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN create_limit TEXT NOT NULL DEFAULT '';

PRAGMA user_version = 8;
