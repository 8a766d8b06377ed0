-- A row of the outbox for a whole domain. Its code is the id of the domain and a slash, which no
-- link has. It is only for the CDN: nodes read the domains themselves.
CREATE FUNCTION domains_edited() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO outbox (bucket, audience, code) VALUES (NEW.bucket, 2, NEW.id || '/');
    RETURN NULL;
END
$$;

CREATE TRIGGER domains_edited AFTER UPDATE ON domains
    FOR EACH ROW EXECUTE FUNCTION domains_edited();

CREATE FUNCTION domain_hosts_edited() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO outbox (bucket, audience, code) VALUES (OLD.bucket, 2, OLD.domain_id || '/');
    RETURN NULL;
END
$$;

CREATE TRIGGER domain_hosts_edited AFTER UPDATE OR DELETE ON domain_hosts
    FOR EACH ROW EXECUTE FUNCTION domain_hosts_edited();
