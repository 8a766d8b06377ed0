ALTER TABLE api_keys
    DROP COLUMN create_limit,
    DROP COLUMN prefix,
    DROP COLUMN last_used_at;
