ALTER TABLE domains
    DROP COLUMN apple_app_site_association,
    DROP COLUMN assetlinks;
