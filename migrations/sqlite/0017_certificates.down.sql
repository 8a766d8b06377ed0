DROP TABLE certificate_locks;
DROP TABLE certificate_files;

PRAGMA user_version = 16;
