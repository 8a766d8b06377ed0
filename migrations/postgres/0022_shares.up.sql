-- For the key of a shared page: the kind and key of the days of clicks that the page shows, and
-- the bcrypt hash of its password. share_kind is NULL for an API key.
ALTER TABLE api_keys
    ADD COLUMN share_kind smallint,
    ADD COLUMN share_key text COLLATE "C",
    ADD COLUMN share_password text COLLATE "C";
