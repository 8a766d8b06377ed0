ALTER TABLE api_keys DROP COLUMN create_limit;
ALTER TABLE api_keys DROP COLUMN prefix;
ALTER TABLE api_keys DROP COLUMN last_used_at;

PRAGMA user_version = 7;
