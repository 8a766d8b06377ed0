ALTER TABLE domains DROP COLUMN apple_app_site_association;
ALTER TABLE domains DROP COLUMN assetlinks;

PRAGMA user_version = 27;
