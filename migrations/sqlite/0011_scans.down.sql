DROP TABLE scans;

PRAGMA user_version = 10;
