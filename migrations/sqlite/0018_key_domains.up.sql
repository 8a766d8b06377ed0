-- The domains on which a key may create links, as a JSON array of ids, and the domain of creates
-- that name none. Without ids: all domains of the owner.
ALTER TABLE api_keys ADD COLUMN domains TEXT NOT NULL DEFAULT '[]';
ALTER TABLE api_keys ADD COLUMN default_domain TEXT NOT NULL DEFAULT '';

PRAGMA user_version = 18;
