DROP TABLE reports;

PRAGMA user_version = 9;
