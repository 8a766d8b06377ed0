-- The files that connect apps with the domain, as JSON. NULL: none.
ALTER TABLE domains
    ADD COLUMN apple_app_site_association text,
    ADD COLUMN assetlinks text;
