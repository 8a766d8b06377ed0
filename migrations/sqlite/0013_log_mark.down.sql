DROP TABLE log_mark;

PRAGMA user_version = 12;
