-- Data to recognise API keys and to find unused ones. A NULL last_used_at means never
-- used. An empty create_limit means the default limit.
ALTER TABLE api_keys
    ADD COLUMN last_used_at timestamptz,
    ADD COLUMN prefix       text NOT NULL DEFAULT '',
    ADD COLUMN create_limit text NOT NULL DEFAULT '';
