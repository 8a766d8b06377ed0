ALTER TABLE api_keys DROP COLUMN workspace;

PRAGMA user_version = 23;
