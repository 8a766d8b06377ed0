-- The workspace that owns the links of a key. NULL: a workspace of this key alone.
ALTER TABLE api_keys ADD COLUMN workspace text COLLATE "C";
