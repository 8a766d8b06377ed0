-- For a member of the workspace, or an invitation to it: the role, the identity of the person, and the
-- author. member_role is NULL for other keys. member_subject is empty in an invitation.
ALTER TABLE api_keys ADD COLUMN member_role TEXT;
ALTER TABLE api_keys ADD COLUMN member_issuer TEXT;
ALTER TABLE api_keys ADD COLUMN member_subject TEXT;
ALTER TABLE api_keys ADD COLUMN member_by TEXT;

PRAGMA user_version = 26;
