-- A passkey would become an API key without scopes.
DELETE FROM api_keys WHERE passkey_subject IS NOT NULL;

ALTER TABLE api_keys DROP COLUMN passkey_subject;
ALTER TABLE api_keys DROP COLUMN passkey_credential;

PRAGMA user_version = 28;
