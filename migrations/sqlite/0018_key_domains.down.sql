ALTER TABLE api_keys DROP COLUMN domains;
ALTER TABLE api_keys DROP COLUMN default_domain;

PRAGMA user_version = 17;
