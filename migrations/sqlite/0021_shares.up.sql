-- The statistics that a key opens instead of the API: the kind and key of days of clicks, and the
-- bcrypt hash of a password. NULL: the key is an API key.
ALTER TABLE api_keys ADD COLUMN share_kind INTEGER;
ALTER TABLE api_keys ADD COLUMN share_key TEXT;
ALTER TABLE api_keys ADD COLUMN share_password TEXT;

PRAGMA user_version = 21;
