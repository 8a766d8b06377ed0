DROP TABLE domains;
DROP TABLE domain_hosts;
DROP TABLE domains_version;

PRAGMA user_version = 15;
