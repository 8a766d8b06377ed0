ALTER TABLE api_keys
    DROP COLUMN domains,
    DROP COLUMN default_domain;
