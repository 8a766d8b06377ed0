DROP TABLE blocked_hosts;
DROP FUNCTION blocked_hosts_changed;
DROP TABLE blocklist_version;
