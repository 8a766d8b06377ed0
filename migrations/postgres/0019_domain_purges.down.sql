DROP TRIGGER domains_edited ON domains;
DROP FUNCTION domains_edited;
DROP TRIGGER domain_hosts_edited ON domain_hosts;
DROP FUNCTION domain_hosts_edited;
DELETE FROM outbox WHERE code LIKE '%/';
