-- A member would become an API key without scopes.
DELETE FROM api_keys WHERE member_role IS NOT NULL;

ALTER TABLE api_keys DROP COLUMN member_role;
ALTER TABLE api_keys DROP COLUMN member_issuer;
ALTER TABLE api_keys DROP COLUMN member_subject;
ALTER TABLE api_keys DROP COLUMN member_by;

PRAGMA user_version = 25;
