DROP TABLE blocked_hosts;
DROP TABLE blocklist_version;

PRAGMA user_version = 8;
