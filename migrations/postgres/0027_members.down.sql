-- A member would become an API key without scopes.
DELETE FROM api_keys WHERE member_role IS NOT NULL;

ALTER TABLE api_keys
    DROP COLUMN member_role,
    DROP COLUMN member_issuer,
    DROP COLUMN member_subject,
    DROP COLUMN member_by;
