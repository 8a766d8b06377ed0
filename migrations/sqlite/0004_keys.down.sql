DROP TABLE api_keys;

PRAGMA user_version = 3;
