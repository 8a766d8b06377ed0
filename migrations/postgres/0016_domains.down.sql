DROP TABLE domains;
DROP TABLE domain_hosts;
DROP FUNCTION domains_changed;
DROP TABLE domains_version;
