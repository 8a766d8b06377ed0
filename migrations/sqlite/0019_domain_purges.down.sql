DROP TRIGGER domains_edited;
DROP TRIGGER domain_hosts_edited;
DROP TRIGGER domain_hosts_released;
DROP INDEX outbox_by_domain;
DELETE FROM outbox WHERE substr(code, -1) = '/';

PRAGMA user_version = 18;
