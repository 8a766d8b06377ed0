DROP TABLE secrets;
DROP TABLE node_leases;

PRAGMA user_version = 4;
