-- The workspace that owns the links of a key. Empty: a workspace of this key alone.
ALTER TABLE api_keys ADD COLUMN workspace TEXT NOT NULL DEFAULT '';

PRAGMA user_version = 24;
