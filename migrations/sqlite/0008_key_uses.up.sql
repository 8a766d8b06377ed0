-- Data to recognise API keys and to find unused ones. An empty create_limit means the
-- default limit.
ALTER TABLE api_keys ADD COLUMN last_used_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE api_keys ADD COLUMN prefix TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN create_limit TEXT NOT NULL DEFAULT '';

PRAGMA user_version = 8;
