-- The files that connect apps with the domain, as JSON. Empty: none.
ALTER TABLE domains ADD COLUMN apple_app_site_association TEXT NOT NULL DEFAULT '';
ALTER TABLE domains ADD COLUMN assetlinks TEXT NOT NULL DEFAULT '';

PRAGMA user_version = 28;
