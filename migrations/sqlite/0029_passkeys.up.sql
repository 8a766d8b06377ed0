-- For a passkey of a member: the member_subject of the member, and the credential of Web Authentication. Both are NULL for
-- other keys.
ALTER TABLE api_keys ADD COLUMN passkey_subject TEXT;
ALTER TABLE api_keys ADD COLUMN passkey_credential BLOB;

PRAGMA user_version = 29;
