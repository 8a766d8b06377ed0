-- A row of the outbox for a whole domain. Its code is the id of the domain and a slash, which no
-- link has. It is only for the CDN: the server reads the domains itself.
CREATE TRIGGER domains_edited AFTER UPDATE ON domains
BEGIN
    INSERT INTO outbox (edited_at, due, audience, code)
    SELECT now, now, 2, NEW.id || '/' FROM (SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER) AS now);
END;

CREATE TRIGGER domain_hosts_edited AFTER UPDATE ON domain_hosts
BEGIN
    INSERT INTO outbox (edited_at, due, audience, code)
    SELECT now, now, 2, OLD.domain_id || '/' FROM (SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER) AS now);
END;

CREATE TRIGGER domain_hosts_released AFTER DELETE ON domain_hosts
BEGIN
    INSERT INTO outbox (edited_at, due, audience, code)
    SELECT now, now, 2, OLD.domain_id || '/' FROM (SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER) AS now);
END;

-- Finds the rows for domains.
CREATE INDEX outbox_by_domain ON outbox (audience, due) WHERE substr(code, -1) = '/';

PRAGMA user_version = 19;
